"""Which messages are commands."""

import pytest

from ocg.agent.slash import Command, Word, is_command, parse
from ocg.protocol.messages import TurnRequest


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ("/help", Command(Word.HELP)),
        ("  /Stop\n", Command(Word.STOP)),
        ("/compact the names\nand dates", Command(Word.COMPACT, "the names\nand dates")),
        ("/model gpt", Command(Word.MODEL, "gpt")),
        ("/hello", Command(Word.UNKNOWN, "hello")),
        ("/hello me please", None),
        ("/Etc", None),
        ("/etc/fstab is broken", None),
        ("/etc/fstab", None),
        ("/", None),
        ("//help", None),
        ("/help2", None),
        ("see /help", None),
        ("/9", None),
        ("/ help", None),
        ("/help\0", None),
    ],
)
def test_what_is_a_command(message: str, command: Command | None) -> None:
    assert parse(message) == command


def test_only_people_give_commands() -> None:
    assert is_command(TurnRequest(message="/stop"))
    assert not is_command(TurnRequest(message="/stop", kind="api"))


def test_what_changes_the_conversation_waits_for_it() -> None:
    assert {word for word in Word if Command(word).waits} == {Word.NEW, Word.COMPACT}
