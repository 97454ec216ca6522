"""What mcp.json says of one server."""

from pathlib import PurePosixPath
from typing import Annotated, Literal

import msgspec

from ocg.config.values import web_address

_MAX_TIMEOUT_S = 3600
_Text = Annotated[str, msgspec.Meta(max_length=1 << 15, pattern=r"^[^\x00]*\Z")]
# Their names and values as HTTP has them (RFC 9110, 5.1 and 5.5).
_Headers = dict[
    Annotated[str, msgspec.Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}\Z")],
    Annotated[str, msgspec.Meta(max_length=1 << 14, pattern=r"^[\t\x20-\x7e]*\Z")],
]
_Variables = dict[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,255}\Z")], _Text]


class Entry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A server: a program with its arguments, or a URL; what else other clients may say of it counts for nothing.

    `read` are folders besides the system's that the program needs, `cwd` is one of the workspace, else its home there.
    Patterns say which of its tools are offered. `timeout_s` is how long a call may take.
    """

    command: _Text = ""
    args: tuple[_Text, ...] = ()
    env: _Variables = {}
    cwd: _Text = ""
    read: tuple[_Text, ...] = ()
    url: str = ""
    headers: _Headers = {}
    type: Literal["stdio", "http", "streamable-http", "streamableHttp", "sse"] | None = None
    disabled: bool = False
    include_tools: tuple[str, ...] = ("*",)
    exclude_tools: tuple[str, ...] = ()
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=_MAX_TIMEOUT_S)] = msgspec.field(name="timeout_s", default=60.0)

    def __post_init__(self) -> None:
        """Raise ValueError for what does not go together."""
        if bool(self.command) == bool(self.url):
            raise ValueError("it has to have either a `command` or a `url`")
        if self.url:
            web_address(self.url)
        if self.type is not None and (self.type == "stdio") != bool(self.command):
            raise ValueError(f"type {self.type!r} does not go with a `{'command' if self.command else 'url'}`")
        if ".." in PurePosixPath(self.cwd).parts:
            raise ValueError("`cwd` leads out of the workspace")
        if not all(PurePosixPath(one).is_absolute() for one in self.read):
            raise ValueError("`read` has to have whole paths, from / on")

    @property
    def kind(self) -> Literal["stdio", "http", "sse"]:
        """How it is spoken to."""
        return "stdio" if self.command else "sse" if self.type == "sse" else "http"

    @property
    def where(self) -> str:
        """What people are shown of its place: arguments, paths and queries may have secrets in them."""
        if self.command:
            return PurePosixPath(self.command).name
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.partition('/')[0].partition('?')[0].rpartition('@')[2]}"
