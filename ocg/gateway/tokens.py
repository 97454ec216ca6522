"""Named tokens: what each is good for, when it was used, and that its use ends when it does.

Only their SHA-256 is kept. A slow hash would protect passwords, which people choose and others guess; these are 256
random bits, of which nobody guesses one, however fast the hash.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from ocg.errors import Code, OcgError
from ocg.gateway.caller import OWNER, Caller
from ocg.gateway.kept import Kept
from ocg.lifecycle.worker import Worker
from ocg.protocol.access import Scope, TokenItem, TokenMade, TokenRequest
from ocg.protocol.struct import Struct

PREFIX = "ocg_"
FILE = "tokens.json"
_MAX_TOKENS = 256
_MAX_REVOKED = 10_000
# How long the time of the last use may be in memory alone.
_KEEP_S = 600.0

_log = logging.getLogger(__name__)


class Token(Struct, frozen=True):
    """A token as it is kept; `hash` is SHA-256 in hexadecimal."""

    name: str
    scopes: tuple[Scope, ...]
    hash: str
    created_at: float
    expires_at: float | None = None
    used_at: float | None = None


class TokenFile(Struct, frozen=True):
    """All of them, and the names of those that were revoked, whose conversations are still there."""

    tokens: tuple[Token, ...] = ()
    revoked: tuple[str, ...] = ()


class Tokens:
    """Makes, judges and revokes tokens; to be entered, which reads what is kept."""

    def __init__(self, data_dir: Path, worker: Worker, *, now: Callable[[], float] = time.time) -> None:
        self._kept = Kept(data_dir / FILE, TokenFile, worker)
        self._now = now
        self._tokens: tuple[Token, ...] = ()
        self._revoked: tuple[str, ...] = ()
        self._used: dict[str, float] = {}
        self._has_news = False
        self._visits: dict[str, set[asyncio.Timeout]] = {}
        self._changing = asyncio.Lock()
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        found = await self._kept.load() or TokenFile()
        self._tokens, self._revoked = found.tokens, found.revoked
        self._keeping = asyncio.create_task(self._keep_now_and_then())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        await self._keep_uses()

    def find(self, token: str) -> Caller | None:
        """Judge a token, in a time that says nothing of those there are."""
        given, found = _hash(token), None
        for one in self._tokens:
            if hmac.compare_digest(one.hash, given):
                found = one
        now = self._now()
        if found is None or (found.expires_at is not None and found.expires_at <= now):
            return None
        self._used[found.name], self._has_news = now, True
        return Caller(found.name, frozenset(found.scopes), found.expires_at)

    def items(self) -> tuple[TokenItem, ...]:
        """List them."""
        return tuple(_item(one) for one in self._current())

    async def create(self, asked: TokenRequest) -> TokenMade:
        """Make one; it is on the disk on return. Raises CONFLICT when there is or was one of that name, or too many."""
        async with self._changing:
            if asked.name == OWNER.name or any(one.name == asked.name for one in self._tokens):
                raise OcgError(Code.CONFLICT, f"there is a token {asked.name!r}", "name it otherwise")
            if asked.name in self._revoked:
                why = f"a token {asked.name!r} was revoked, and its conversations are still there"
                raise OcgError(Code.CONFLICT, why, "name it otherwise, or it would open them")
            if len(self._tokens) >= _MAX_TOKENS:
                raise OcgError(Code.CONFLICT, f"there are {_MAX_TOKENS} tokens", "revoke those that nobody uses")
            now, secret = self._now(), PREFIX + secrets.token_urlsafe(32)
            expires_at = now + asked.expires_days * 86400 if asked.expires_days else None
            scopes = tuple(dict.fromkeys(asked.scopes))
            made = Token(name=asked.name, scopes=scopes, hash=_hash(secret), created_at=now, expires_at=expires_at)
            await self._save((*self._current(), made))
        _log.info("token %s was made, with scope %s", made.name, ", ".join(scopes))
        return TokenMade(name=made.name, scopes=scopes, created_at=now, expires_at=expires_at, token=secret)

    async def revoke(self, name: str) -> None:
        """Have one count no more, at once, also for what is open with it. Raises NOT_FOUND."""
        async with self._changing:
            left = tuple(one for one in self._current() if one.name != name)
            if len(left) == len(self._tokens):
                raise OcgError(Code.NOT_FOUND, f"there is no token {name[:100]!r}", "ocg token list")
            self._tokens = left  # before it is on the disk, and whether or not it comes there
            self._revoked = (*self._revoked, name)[-_MAX_REVOKED:]
            self._used.pop(name, None)
            for visit in self._visits.pop(name, set()):
                if not visit.expired():
                    visit.reschedule(0)
            _log.info("token %s was revoked", name)
            await self._save(left)

    @contextmanager
    def visit(self, caller: Caller) -> Iterator[asyncio.Timeout]:
        """Give a time-out to enter, which ends what is within it when the caller's token ends."""
        left_s = None if caller.expires_at is None else caller.expires_at - self._now()
        visit, visits = asyncio.timeout(left_s), self._visits.setdefault(caller.name, set())
        visits.add(visit)
        try:
            yield visit
        finally:
            visits.discard(visit)
            if not visits and self._visits.get(caller.name) is visits:
                del self._visits[caller.name]

    def _current(self) -> tuple[Token, ...]:
        """Return them with the last use of each as it is known now."""
        replace = msgspec.structs.replace
        return tuple(
            replace(one, used_at=self._used[one.name]) if one.name in self._used else one for one in self._tokens
        )

    async def _save(self, tokens: tuple[Token, ...]) -> None:
        self._has_news = False
        await self._kept.save(TokenFile(tokens=tokens, revoked=self._revoked))
        self._tokens = tokens

    async def _keep_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_S)
            await self._keep_uses()

    async def _keep_uses(self) -> None:
        async with self._changing:
            if self._has_news:
                try:
                    await self._save(self._current())
                except OcgError as error:
                    _log.warning("when tokens were used is not kept: %s", error)


def _item(token: Token) -> TokenItem:
    return msgspec.convert(token, TokenItem, from_attributes=True)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
