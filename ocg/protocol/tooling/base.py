"""What all confined tools have in common."""

from enum import StrEnum

import msgspec

from ocg.errors import Code


class Cage(StrEnum):
    """A class of confinement: a socket, ocg-tool-<name>.socket, and a unit for each connection."""

    RO = "ro"
    """The workspace is read, nothing is written, and there is no network."""
    RW = "rw"
    """The workspace may be written as well."""
    NET = "net"
    """As that, with the network, but not this machine's own services."""
    EXT = "ext"
    """As that, for programs of the user's own: servers for MCP and hooks, which may run for as long as they like."""


class Failure(msgspec.Struct, frozen=True):
    """Why a tool did nothing, or not all."""

    code: Code
    message: str
    hint: str = ""
