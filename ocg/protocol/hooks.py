"""Hooks: programs of the user's that are called when something happens."""

from typing import Literal

from ocg.protocol.struct import Struct


class Hook(Struct, frozen=True):
    """A file in the folder of an event; `why` it is not called, where it is `off` or `refused`."""

    event: str
    name: str
    state: Literal["on", "off", "refused"]
    why: str = ""


class HookList(Struct, frozen=True):
    """The hooks there are, by their events, each event's in the order in which they are called."""

    hooks: tuple[Hook, ...]
