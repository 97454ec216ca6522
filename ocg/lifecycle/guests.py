"""Who is inside, in all and by neighbourhood; where it is full, who asks for nothing makes way for who comes."""

import resource
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ocg.lifecycle.neighbourhood import neighbourhood

# What a service has open beside its connections: databases, logs, listeners, children's pipes.
_OTHER_DESCRIPTORS = 128
_CONNECTIONS = 4096
# How many may be on their way out at once: each still has its descriptor, until the event loop comes round to it.
_MAX_LEAVING = 64
_Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections may be open at once, in all and from one neighbourhood.

    `without` are addresses that speak for many, so that only the total counts for them.
    """

    total: int
    each: int
    without: Callable[[str], bool] = lambda _: False

    @classmethod
    def fitting(cls, without: Callable[[str], bool]) -> "Room":
        """Take what the process has descriptors for: a connection may need a second one to the service behind us."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        total = max(1, min(_CONNECTIONS, (soft - _OTHER_DESCRIPTORS) // 2))
        return cls(total, total * 3 // 4, without)


class Guest(socket.socket):
    """A connection that says when it is closed. `who` is its neighbourhood, if it has one that counts."""

    def __init__(
        self, connection: socket.socket, who: str, address: _Address, on_close: Callable[["Guest"], None]
    ) -> None:
        super().__init__(connection.family, connection.type, connection.proto, fileno=connection.detach())
        self.who = who
        self.address = address
        self.works = 0
        self._on_close: Callable[[Guest], None] | None = on_close

    def close(self) -> None:
        """Close, and say so once."""
        super().close()
        if self._on_close is not None:
            self._on_close(self)
            self._on_close = None


class Guests:
    """Those inside. At first everybody is idle; only what was let in by a right token says that it is at work."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._inside: Counter[str] = Counter()
        self._found: dict[_Address, Guest] = {}
        self._idle: dict[Guest, None] = {}  # in the order in which they make way
        self._leaving: set[Guest] = set()

    def __len__(self) -> int:
        return self._inside.total()

    def admit(self, connection: socket.socket, address: Any) -> Guest | None:
        """Let a connection in; None where there is no room for it."""
        host, port = address[:2] if isinstance(address, tuple) else ("", 0)
        who = "" if not host or self._room.without(host) else neighbourhood(host)
        if not self._has_room(who):
            return None
        guest = Guest(connection, who, (host, port), self._leave)
        self._inside[who] += 1
        if who:
            self._found[guest.address] = guest
            self._idle[guest] = None
        return guest

    @contextmanager
    def at_work(self, address: _Address | None) -> Iterator[None]:
        """Have the connection from an address stay, whoever comes, for as long as this takes."""
        guest = self._found.get(address) if address else None
        if guest is None:  # it makes way for nobody anyhow, or has gone
            yield
            return
        guest.works += 1
        self._idle.pop(guest, None)
        try:
            yield
        finally:
            guest.works -= 1
            if not guest.works and self._found.get(guest.address) is guest:
                self._idle[guest] = None

    def _has_room(self, who: str) -> bool:
        if len(self) >= self._room.total:
            return self._make_room(next(iter(self._idle), None))
        if who and self._inside[who] >= self._room.each:
            return self._make_room(next((one for one in self._idle if one.who == who), None))
        return True

    def _make_room(self, guest: Guest | None) -> bool:
        if guest is None or len(self._leaving) >= _MAX_LEAVING:
            return False
        self._forget(guest)
        self._leaving.add(guest)
        with suppress(OSError):  # it may have gone by itself
            guest.shutdown(socket.SHUT_RDWR)  # which its transport sees as the end
        return True

    def _leave(self, guest: Guest) -> None:
        if guest in self._leaving:
            self._leaving.remove(guest)
        else:
            self._forget(guest)

    def _forget(self, guest: Guest) -> None:
        self._inside[guest.who] -= 1
        if not self._inside[guest.who]:
            del self._inside[guest.who]
        self._idle.pop(guest, None)
        if self._found.get(guest.address) is guest:
            del self._found[guest.address]
