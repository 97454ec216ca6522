"""What a chat is answered with, whoever answers it: pieces, as they come, and the end."""

from dataclasses import dataclass

from ocg.protocol.events import Finish
from ocg.protocol.messages import Usage


@dataclass(frozen=True, slots=True)
class Text:
    """More of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """More of what the model thinks before it answers; no part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """The model begins to call a tool of the client's; `index` counts the calls of a reply from 0."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """More of a call's arguments, which are JSON text in the end."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The reply is whole."""

    finish: Finish
    usage: Usage


Piece = Text | Thought | CallBegun | Arguments | Ended
