"""The bodies of requests and answers between services. Times are Unix seconds; ids are opaque strings."""

from typing import Annotated, Literal

import msgspec

MAX_TEXT_CHARS = 1 << 20
MAX_ID_CHARS = 128
MAX_IMPORTED = 500

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
# An id that stands in a URL's path.
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._@-]{1,128}$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT_CHARS)]
# SQLite and C end a text at NUL, and a source `file:` is for the files of the workspace alone.
MemoryText = Annotated[str, msgspec.Meta(min_length=1, max_length=8192, pattern="^[^\\u0000]*$")]
MemoryKind = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern="^[^\\u0000]*$")]
MemorySource = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern="^(?!file:)[^\\u0000]*$")]
MemoryTag = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern="^[^\\u0000]*$")]
MemoryTags = Annotated[tuple[MemoryTag, ...], msgspec.Meta(max_length=16)]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Moment = Annotated[float, msgspec.Meta(ge=0.0, le=1e11)]
Role = Literal["user", "assistant", "tool"]
Metadata = dict[str, str | int | float | bool | None]


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all that crosses: frozen, and unknown fields are ignored so that versions can differ."""


class ToolUse(Struct, frozen=True):
    """A call of a tool as the model asked for it; `arguments` is the JSON text it wrote."""

    id: str
    name: str
    arguments: str


class Message(Struct, frozen=True):
    """One entry of a session's transcript."""

    id: str
    role: Role
    content: str
    created_at: float
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str | None = None


class Session(Struct, frozen=True):
    """A conversation."""

    id: str
    title: str
    created_at: float
    updated_at: float
    messages: int


class SessionList(Struct, frozen=True):
    """Sessions, the one touched last first."""

    sessions: tuple[Session, ...]


class Transcript(Struct, frozen=True):
    """A session and all its messages, oldest first."""

    session: Session
    messages: tuple[Message, ...]


class ContextMessage(Struct, frozen=True):
    """A message of a conversation that the client keeps itself."""

    role: Literal["system", "user", "assistant"]
    content: str


class TurnRequest(Struct, frozen=True):
    """Ask the agent for a turn. `message_id` makes a repeat harmless: the same id is one turn, told again.

    `kind` says who asks: with `api` the turn belongs to no session that people see, and `context` is what came before
    it, as the client keeps it.
    """

    message: Text
    session_id: Name | None = None
    message_id: Id | None = None
    kind: Literal["chat", "api"] = "chat"
    context: Annotated[tuple[ContextMessage, ...], msgspec.Meta(max_length=4096)] = ()


class Usage(Struct, frozen=True):
    """Tokens a turn or an embedding took."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens


class MemoryRequest(Struct, frozen=True):
    """Something to remember; `source` says who said so: user, model, import."""

    text: MemoryText
    kind: MemoryKind = "fact"
    source: MemorySource = "user"
    tags: MemoryTags = ()
    importance: Fraction = 0.5


class Memory(Struct, frozen=True):
    """Something remembered; times are Unix seconds, `score` is 0 to 1 where it comes from a search."""

    id: str
    text: str
    kind: str
    created_at: float
    source: str = "user"
    tags: tuple[str, ...] = ()
    updated_at: float = 0.0
    used_at: float | None = None
    importance: float = 0.5
    score: float | None = None


class MemoryList(Struct, frozen=True):
    """Memories, best first where they come from a search, else newest first."""

    memories: tuple[Memory, ...]


class MemoryPage(Struct, frozen=True):
    """Memories in the order they came, and where the next page begins, if there is one."""

    memories: tuple[Memory, ...]
    next: int | None = None


class MemoryRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """A line of an import: what an export wrote, or as little as a text."""

    text: MemoryText
    id: Name | None = None
    kind: MemoryKind = "fact"
    source: MemorySource = "import"
    tags: MemoryTags = ()
    created_at: Moment | None = None
    updated_at: Moment | None = None
    used_at: Moment | None = None
    importance: Fraction = 0.5


class MemoryImport(Struct, frozen=True):
    """Memories to take in, all or none."""

    memories: Annotated[tuple[MemoryRecord, ...], msgspec.Meta(max_length=MAX_IMPORTED)]


class MemoryImported(Struct, frozen=True):
    """What came of an import; `unchanged` were there already, as they are or newer."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0


class MemoryIds(Struct, frozen=True):
    """Memories by id."""

    ids: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=MAX_IMPORTED)]


class Changed(Struct, frozen=True):
    """How many things a request changed."""

    count: int


class Health(Struct, frozen=True):
    """What a service says of itself; `details` are a few facts for people."""

    service: str
    version: str
    status: Literal["ok", "degraded"] = "ok"
    details: dict[str, str | int | None] = {}


class SystemHealth(Struct, frozen=True):
    """What the gateway says of all three."""

    status: Literal["ok", "degraded"]
    version: str
    services: dict[str, str]
