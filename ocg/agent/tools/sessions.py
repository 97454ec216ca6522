"""Looking back into earlier conversations."""

import datetime as dt
from typing import Annotated, Literal

import msgspec

from ocg.agent.conversations import Conversations, Said
from ocg.agent.results import cut_middle
from ocg.agent.tools.base import Place
from ocg.errors import Code, OcgError
from ocg.protocol.approvals import Decision
from ocg.protocol.messages import MAX_SEQ

_MOST_WORDS = 8
_SHOWN_CHARS, _AROUND_CHARS = 2000, 150


class SessionsArguments(msgspec.Struct, frozen=True):
    """What to do with which."""

    action: Literal["list", "read", "search"]
    id: Annotated[str, msgspec.Meta(max_length=128, description="which conversation to read")] = ""
    query: Annotated[str, msgspec.Meta(max_length=500, description="words to search for, all of them")] = ""
    before: Annotated[
        int, msgspec.Meta(ge=0, le=MAX_SEQ, description="read what was said before the message of this number")
    ] = MAX_SEQ
    limit: Annotated[int, msgspec.Meta(ge=1, le=50, description="how many at the most")] = 20


class SessionsTool:
    """See Tool."""

    name = "sessions"
    description = "List your earlier conversations with the user, search them for words, or read what was said in one."
    default: Decision = "allow"
    arguments = SessionsArguments
    timeout_s = 20.0
    is_repeatable = True
    is_outside = True  # as what was said of it there may be

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    async def run(self, arguments: SessionsArguments, place: Place) -> str:  # noqa: ARG002 - Tool's signature
        """Do it."""
        match arguments.action:
            case "list":
                found = await self._conversations.newest(arguments.limit)
                lines = [f"{one.id}: {one.title} ({one.messages} messages, {_day(one.updated_at)})" for one in found]
            case "read":
                said = await self._conversations.read(arguments.id, before=arguments.before, limit=arguments.limit)
                lines = [f"{_head(one)}: {cut_middle(one.content, _SHOWN_CHARS)}" for one in said]
            case "search":
                lines = await self._search(arguments)
        return "\n".join(lines) or "there is nothing"

    async def _search(self, arguments: SessionsArguments) -> list[str]:
        words = arguments.query.split()[:_MOST_WORDS]
        if not words:
            raise OcgError(Code.INVALID_REQUEST, "the query is empty", "give words to search for")
        found = await self._conversations.search(words, limit=arguments.limit)
        return [f"{one.session_id} ({one.title}) {_head(one)}: {_around(one.content, words[0])}" for one in found]


def _head(one: Said) -> str:
    return f"[{one.number}] {one.role}, {_day(one.created_at)}"


def _day(unix_s: float) -> str:
    return f"{dt.datetime.fromtimestamp(unix_s).astimezone():%Y-%m-%d %H:%M}"


def _around(text: str, word: str) -> str:
    """Cut out what stands around a word, in one line."""
    at = max(text.lower().find(word.lower()), 0)
    begin, end = max(at - _AROUND_CHARS, 0), at + len(word) + _AROUND_CHARS
    return f"{'…' * (begin > 0)}{' '.join(text[begin:end].split())}{'…' * (end < len(text))}"
