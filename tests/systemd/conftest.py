"""The booted container that these tests share, with OCG installed in it as a user would, and set back after each."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.box import CHECKOUT, Box, booted, why_not

GAVE_UP = "35840b7be49b4772b6b93255549750f0"  # the message of an alert
TOKEN = "a-token-for-tests"
MODEL_PORT = 7001
_TEST = "99-test.conf"
# What a service says that is meant to fail is declared by its test.
_ERRORS = ("-p", "err", "-o", "cat", "-u", "ocg-*")


def skip_or_fail(reason: str) -> None:
    """Skip where no systemd can be booted; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must run these tests, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def package() -> Path:
    """The package that `make deb` built."""
    found = sorted((CHECKOUT / "dist").glob("ocg_*_amd64.deb"), key=lambda path: path.stat().st_mtime)
    assert found, "run `make deb`"
    return found[-1]


@pytest.fixture(scope="session")
def model_package(package: Path) -> Path:
    """The chat model's."""
    return package.with_name(package.name.replace("ocg_", "ocg-model-smollm2_").replace("_amd64", "_all"))


@pytest.fixture(scope="session")
def shared() -> Iterator[Box]:
    """Boot once. Where that cannot be, the tests are skipped and say why; in CI that is a failure."""
    if reason := why_not():
        skip_or_fail(reason)
    with booted() as box:
        # Without its user's HOME to themselves, services and users of the box could not run this Python.
        box.run("chmod", "711", "/root")
        box.run("ocg", "service", "install")
        box.write("/etc/ocg/env.config", f"OCG_UI_TOKEN={TOKEN}\n", 0o640)
        box.run("chgrp", "ocg", "/etc/ocg/env.config")
        yield box


@pytest.fixture
def box(shared: Box, request: pytest.FixtureRequest) -> Iterator[Box]:
    """The box with nothing running. A test fails on errors in the journal that it has not declared with `says`."""
    before = shared.journal("-n1", "--show-cursor").rpartition("cursor: ")[2].strip()
    yield shared
    errors = shared.journal(*_ERRORS, f"--after-cursor={before}").splitlines()
    _set_back(shared)
    marker = request.node.get_closest_marker("says")
    expected = re.compile("|".join(marker.args)) if marker else None
    unexpected = [line for line in errors if expected is None or not expected.search(line)]
    assert not unexpected, "unexpected errors in the journal:\n" + "\n".join(unexpected)


def _set_back(box: Box) -> None:
    box.script(
        f"""
        find /etc/systemd/system -name {_TEST} -delete
        systemctl stop ocg.target ocg-gateway ocg-agent.socket ocg-agent ocg-embedding ocg-embedding.socket model \
            ocg-tool-ro.socket ocg-tool-rw.socket ocg-tool-net.socket ocg-tool-ext.socket \
            2>/dev/null || true
        systemctl daemon-reload
        systemctl reset-failed
        printf 'OCG_UI_TOKEN={TOKEN}\\n' > /etc/ocg/env.config
        rm -rf /etc/credstore /etc/credstore.encrypted /var/lib/ocg/token \
            /var/lib/ocg/agent.db* /var/lib/ocg/vectors.db* /var/lib/ocg/policy.toml
        """
    )


def drop_in(box: Box, unit: str, *lines: str, section: str = "Service") -> None:
    """Give a unit a drop-in that the test's end takes away."""
    box.write(f"/etc/systemd/system/{unit}.d/{_TEST}", "\n".join((f"[{section}]", *lines, "")))
    box.run("systemctl", "daemon-reload")


def misbehave(box: Box, service: str, mode: str, *lines: str) -> None:
    """Put a service in the place of ours that does as the mode says (tests/tiny_service.py)."""
    command = f"{CHECKOUT}/.venv/bin/python {CHECKOUT}/tests/tiny_service.py {service} {mode}"
    drop_in(
        box, f"{service}.service", "ExecStart=", f"ExecStart={command}", f"Environment=PYTHONPATH={CHECKOUT}", *lines
    )


@pytest.fixture
def model(box: Box) -> str:
    """A scripted model that the agent uses, as a service of the box; gives its URL."""
    python = f"{CHECKOUT}/.venv/bin/python"
    box.wait_until("test $(systemctl show -P LoadState model) = not-found")  # systemd forgets the last one when it can
    box.run(
        "systemd-run", "--unit=model", "--collect", f"--setenv=PYTHONPATH={CHECKOUT}",
        python, "-m", "tests.systemd.model", str(MODEL_PORT),
    )  # fmt: skip
    box.wait_until(f"bash -c '</dev/tcp/127.0.0.1/{MODEL_PORT}'")
    configure(box, f"OCG_BASE_URL=http://127.0.0.1:{MODEL_PORT}/v1", "OCG_MODEL=scripted", "OCG_AUTO_RECALL=no")
    return f"http://127.0.0.1:{MODEL_PORT}/v1"


def configure(box: Box, *lines: str) -> None:
    """Write the box's env.config, with the token."""
    text = "\n".join((f"OCG_UI_TOKEN={TOKEN}", *lines, ""))
    box.run("tee", "/etc/ocg/env.config", text=text)


def inside(service: str) -> str:
    """Return the line of shell that makes a script part of a service, in every hierarchy of control groups there is."""
    found = f"$(find /sys/fs/cgroup -type d -path '*/system.slice/{service}.service')"
    return f"for group in {found}; do echo $$ > $group/cgroup.procs 2>/dev/null || true; done"
