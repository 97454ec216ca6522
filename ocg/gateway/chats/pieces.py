"""What a chat is answered with, whoever answers it: its beginning, pieces as they come, and the end."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol.events import Finish
from ocg.protocol.messages import ToolUse, Usage


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer begins; it comes first. `id` names it, `model` is who gives it."""

    id: str
    model: str


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
    """The model begins to call a tool of the client's; `index` counts the calls of an answer from 0."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """More of a call's arguments, which are JSON text in the end."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Nothing to show: who answers is at work, such as with a tool of its own."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer is whole; it comes last."""

    finish: Finish
    usage: Usage


Piece = Begun | Text | Thought | CallBegun | Arguments | Busy | Ended


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole answer."""

    begun: Begun
    text: str
    thought: str
    calls: tuple[ToolUse, ...]
    ended: Ended


async def whole(pieces: AsyncGenerator[Piece, None]) -> Whole:
    """Put an answer together. Raises what its pieces raise."""
    begun, ended = Begun("", ""), None
    text: list[str] = []
    thought: list[str] = []
    called: list[CallBegun | Arguments] = []
    async with aclosing(pieces):
        async for piece in pieces:
            match piece:
                case Begun():
                    begun = piece
                case Text():
                    text.append(piece.text)
                case Thought():
                    thought.append(piece.text)
                case CallBegun() | Arguments():
                    called.append(piece)
                case Ended():
                    ended = piece
    if ended is None:
        raise OcgError(Code.INTERNAL, "an answer has no end", "this is a bug in OCG")
    return Whole(begun, "".join(text), "".join(thought), calls(called), ended)


def calls(pieces: Sequence[CallBegun | Arguments]) -> tuple[ToolUse, ...]:
    """Put an answer's calls together."""
    arguments: defaultdict[int, list[str]] = defaultdict(list)
    for piece in pieces:
        if isinstance(piece, Arguments):
            arguments[piece.index].append(piece.text)
    return tuple(
        ToolUse(id=piece.id, name=piece.name, arguments="".join(arguments[piece.index]))
        for piece in pieces
        if isinstance(piece, CallBegun)
    )


def arguments_of(text: str) -> dict[str, Any]:
    """Read a call's arguments for a dialect that has them as an object; what was cut off in the middle is left out."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


async def begun(pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """Wait for the first piece, so that what fails before it fails here; give all of them."""
    entered = _entered(pieces)
    await anext(entered)
    return entered


async def _entered(pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """Give a piece for having come in: closing a generator that never ran closes nothing in it. Then all there are."""
    async with aclosing(pieces):
        first = await anext(pieces)
        yield Busy()
        yield first
        async for piece in pieces:
            yield piece
