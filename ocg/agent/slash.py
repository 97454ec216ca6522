"""Which messages are commands, and which only look like one."""

import re
from dataclasses import dataclass
from enum import StrEnum

from ocg.protocol.messages import TurnRequest

_SHAPE = re.compile(r"/([A-Za-z]+)(?:\s+(.*))?", re.DOTALL)


class Word(StrEnum):
    """The commands there are."""

    HELP = "help"
    NEW = "new"
    COMPACT = "compact"
    STATUS = "status"
    MODEL = "model"
    USAGE = "usage"
    STOP = "stop"
    UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A command and what follows it; of an unknown one `rest` is the word."""

    word: Word
    rest: str = ""

    @property
    def waits(self) -> bool:
        """Whether it waits until what was said before it is answered; the others are answered at once."""
        return self.word in {Word.NEW, Word.COMPACT}


def parse(message: str) -> Command | None:
    """Read a command. A word that is none is one all the same when it stands alone: it is mistyped.

    Anything else that begins with a slash is the path of a file, and goes to the model.
    """
    found = _SHAPE.fullmatch(message.strip())
    if found is None:
        return None
    word, rest = found[1].lower(), (found[2] or "").strip()
    if word in list(Word):
        return Command(Word(word), rest)
    return None if rest or word != found[1] else Command(Word.UNKNOWN, word)


def waits(message: str) -> bool:
    """Whether a command waits for what came before it in its session."""
    command = parse(message)
    return command is not None and command.waits


def is_stop(request: TurnRequest) -> bool:
    """Whether a request is to end what runs."""
    command = parse(request.message)
    return request.kind == "chat" and command is not None and command.word is Word.STOP


def is_immediate(request: TurnRequest) -> bool:
    """Whether a request waits for nothing that came before it."""
    return is_command(request) and not waits(request.message)


def is_command(request: TurnRequest) -> bool:
    """Whether a request is a command: only people give them, and an API's clients mean every word."""
    return request.kind == "chat" and parse(request.message) is not None
