"""The README's chapters on systemd and on packages, followed word for word in fresh machines."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd import debian
from tests.systemd.box import CHECKOUT, Box, booted, why_not
from tests.systemd.conftest import skip_or_fail


@pytest.fixture(scope="module")
def fresh() -> Iterator[Box]:
    """A machine of its own, on which nothing of OCG's was installed."""
    if reason := why_not():
        skip_or_fail(reason)
    with booted() as box:
        box.run("useradd", "-m", "you")
        yield box


def _commands(chapter: str) -> list[str]:
    text = (CHECKOUT / "README.md").read_text().partition(f"## {chapter}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (.+)$", text, re.MULTILINE)


def _follow(box: Box, commands: list[str]) -> dict[str, str]:
    outputs = {}
    for command in commands:
        line = f"cd {CHECKOUT} && {command} | cat"
        outputs[command] = box.run("bash", "-eo", "pipefail", "-c", line).stdout
    return outputs


def test_the_chapter_on_systemd_works_word_for_word(fresh: Box) -> None:
    commands = _commands("With systemd")
    assert "sudo ./bin/ocg service install" in commands
    # There is no sudo in this machine, where we are root as it would make us.
    fresh.write("/usr/bin/sudo", '#!/bin/sh\nexec "$@"\n', 0o755)
    outputs = _follow(fresh, [command.replace("$USER", "you") for command in commands])
    assert "All healthy after" in outputs["sudo ./bin/ocg start"]
    assert "OK" in outputs["systemd-analyze security ocg-agent"]
    assert outputs["journalctl -p err -u 'ocg-*'"].strip() in {"", "-- No entries --"}
    states = fresh.run("systemctl", "is-active", "ocg-gateway", "ocg-agent", "ocg-embedding", check=False).stdout
    assert states.split() == ["inactive"] * 3, "the chapter ends with a stop"
    assert "you" in fresh.run("getent", "group", "ocg").stdout


def test_what_the_chapter_promises_of_the_next_boot(fresh: Box) -> None:
    fresh.run("systemctl", "isolate", "default.target")
    fresh.wait_until(f"{CHECKOUT}/bin/ocg status")


def test_the_chapter_on_packages_works_word_for_word(package: Path, model_package: Path) -> None:
    if reason := why_not():
        skip_or_fail(reason)
    make, *commands = _commands("As a package")
    assert make == "make deb"  # these are what it made
    with booted(debian.root(package, model_package), path="") as box:
        debian.install(box, *debian.FOR_README)
        # Who answers yes.
        box.write("/etc/apt/apt.conf.d/99yes", 'APT::Get::Assume-Yes "yes";\n')
        before = _named_ocg(box)
        units = (path.name.replace("@.", "@ocg-agent.") for path in (CHECKOUT / "units").glob("ocg*.*"))
        installing, removing = (next(one for one in commands if f"apt {word}" in one) for word in ("install", "remove"))
        outputs = _follow(box, commands[: commands.index(removing)])
        assert installing in outputs
        assert outputs["sudo ocg status"].endswith("Health: ok\n")
        # A model this small may tell of bees what it likes.
        assert "bee" in outputs['sudo ocg chat "What do bees make?"'].lower()
        assert outputs["sudo ocg open"].startswith("http://127.0.0.1:55003/#login=")
        assert "OCG(1)" in outputs["man ocg"]
        assert box.run("systemd-analyze", "verify", *units).text == ""
        box.run("systemctl", "stop", "ocg-embedding")
        box.run("systemctl", "start", "ocg-gateway")
        box.wait_until("ocg status")
        _follow(box, commands[commands.index(removing) :])
        assert _named_ocg(box) == before


def _named_ocg(box: Box) -> str:
    # man keeps what it has shown.
    elsewhere = (word for path in (CHECKOUT, "/var/cache/man") for word in ("-not", "-path", f"{path}/*"))
    return box.run("find", "/", "-xdev", "-name", "*ocg*", *elsewhere).stdout
