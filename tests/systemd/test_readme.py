"""The README's chapter on systemd, followed word for word in a fresh machine."""

import re
from collections.abc import Iterator

import pytest

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


def _commands() -> list[str]:
    text = (CHECKOUT / "README.md").read_text()
    chapter = text.partition("## With systemd\n")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (.+)$", chapter, re.MULTILINE)


def test_the_chapter_works_word_for_word(fresh: Box) -> None:
    commands = _commands()
    assert "sudo ./bin/ocg service install" in commands
    outputs = {}
    for command in commands:
        # There is no sudo in the box, where we are root as it would make us.
        line = f"cd {CHECKOUT} && {command.removeprefix('sudo ').replace('$USER', 'you')} | cat"
        outputs[command] = fresh.run("bash", "-eo", "pipefail", "-c", line).stdout
    assert "All healthy after" in outputs["sudo ./bin/ocg start"]
    assert "OK" in outputs["systemd-analyze security ocg-agent"]
    assert outputs["journalctl -p err -u 'ocg-*'"].strip() in {"", "-- No entries --"}
    states = fresh.run("systemctl", "is-active", "ocg-gateway", "ocg-agent", "ocg-embedding", check=False).stdout
    assert states.split() == ["inactive"] * 3, "the chapter ends with a stop"
    assert "you" in fresh.run("getent", "group", "ocg").stdout


def test_what_the_chapter_promises_of_the_next_boot(fresh: Box) -> None:
    fresh.run("systemctl", "isolate", "default.target")
    fresh.wait_until(f"{CHECKOUT}/bin/ocg status")
