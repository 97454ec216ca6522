"""The bodies of requests and answers between services. Times are Unix seconds; ids are opaque strings."""

from typing import Annotated, Any, Literal

import msgspec

from ocg.protocol.approvals import Decision
from ocg.protocol.replies import ReplyOptions
from ocg.protocol.struct import Struct

MAX_TEXT_CHARS = 1 << 20
MAX_ID_CHARS = 128
MAX_IMAGES = 8
MAX_IMPORTED = 500
MAX_SEQ = 2**53 - 1  # what JavaScript counts to

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
# An id that stands in a URL's path: no step up, and no newline at its end, which `$` would let through.
Name = Annotated[str, msgspec.Meta(pattern=r"^(?!\.{1,2}\Z)[A-Za-z0-9._@-]{1,128}\Z")]
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
Mode = Literal["queue", "steer", "interrupt"]
# What msgspec decodes to bytes (RFC 4648, 4).
_BASE64 = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
Metadata = dict[str, str | int | float | bool | None]


class ToolUse(Struct, frozen=True):
    """A call of a tool as the model asked for it; `arguments` is the JSON text it wrote."""

    id: str
    name: str
    arguments: str


class Usage(Struct, frozen=True):
    """Tokens a turn or an embedding took; `cached_tokens` are part of the prompt's, `cost` is in US dollars."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens

    def costing(self, cost: float) -> "Usage":
        """Return the same with a cost."""
        return msgspec.structs.replace(self, cost=cost)


class Message(Struct, frozen=True):
    """One entry of a session's transcript.

    `images` is how many pictures the user sent with it. A reply of the model's has its name, what it took and what it
    thought; `opaque` is what its provider wants back, `client_calls` are of tools that the client runs, and it `is_cut`
    where the limit of tokens ended it.
    """

    id: str
    role: Role
    content: str
    created_at: float
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str | None = None
    reasoning: str = ""
    opaque: str = ""
    model: str = ""
    usage: Usage | None = None
    images: int = 0
    client_calls: tuple[ToolUse, ...] = ()
    is_cut: bool = False


class Session(Struct, frozen=True):
    """A conversation."""

    id: str
    title: str
    created_at: float
    updated_at: float
    messages: int


class SessionTitle(Struct, frozen=True):
    """What a conversation is to be called."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\u0000-\u001f]*\S[^\u0000-\u001f]*$")]


class SessionList(Struct, frozen=True):
    """Sessions, the one touched last first."""

    sessions: tuple[Session, ...]


class Transcript(Struct, frozen=True):
    """A session and all its messages, oldest first."""

    session: Session
    messages: tuple[Message, ...]


class Image(Struct, frozen=True):
    """A picture; its data are base64 in JSON."""

    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    data: Annotated[bytes, msgspec.Meta(extra_json_schema={"pattern": _BASE64})]


class ContextMessage(Struct, frozen=True):
    """A message of a conversation that the client keeps itself; the calls in it are of tools that the client runs."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    images: Annotated[tuple[Image, ...], msgspec.Meta(max_length=MAX_IMAGES)] = ()
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str | None = None


class TurnError(Struct, frozen=True):
    """Why a turn failed."""

    code: str
    message: str
    hint: str = ""


class ReplyTo(Struct, frozen=True):
    """Where an answer goes that nobody waits for: an address in a channel, and how long it is worth anything there."""

    channel: Name
    address: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    expires_s: Annotated[float, msgspec.Meta(gt=0, le=2_592_000)] = 3600.0


class AskedBy(Struct, frozen=True):
    """Who asks: whose token it is by its name, and whether that is as good as the owner's."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "owner"
    is_owner: bool = True


class TurnRequest(Struct, frozen=True):
    """Ask the agent for a turn. `message_id` makes a repeat harmless: the same id is one turn, told again.

    `kind` says who asks: with `api` the turn belongs to no session that people see, and `context` is what came before
    it, as the client keeps it. `mode` says what becomes of a turn that runs in the session: the message waits for it,
    joins it (`steer`), or ends it. `after` is the number of the last event that was seen. With `reply_to` the answer is
    put into the outbox as well. `message` is empty where the context ends with the results of the client's own tools.
    `is_stranger` says that whoever asks is nobody the owner knows: no tool is run for them, unless a rule says so.
    `asker` is set by the gateway, whatever its client says of it.
    """

    message: Annotated[str, msgspec.Meta(max_length=MAX_TEXT_CHARS)]
    session_id: Name | None = None
    message_id: Id | None = None
    kind: Literal["chat", "api"] = "chat"
    mode: Mode = "queue"
    after: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)] = 0
    reply_to: ReplyTo | None = None
    images: Annotated[tuple[Image, ...], msgspec.Meta(max_length=MAX_IMAGES)] = ()
    context: Annotated[tuple[ContextMessage, ...], msgspec.Meta(max_length=4096)] = ()
    options: ReplyOptions = ReplyOptions()
    is_stranger: bool = False
    asker: AskedBy = AskedBy()


class TurnLog(Struct, frozen=True):
    """All that is kept of a turn. `attempts` is how often it was cut off and taken up.

    `state` is queued, running, completed or failed; `joined` is the turn whose answer was this one's.
    """

    id: str
    session_id: str
    message_id: str
    message: str
    mode: Mode
    state: str
    accepted_at: float
    began_at: float | None
    ended_at: float | None
    attempts: int
    usage: Usage
    error: TurnError | None
    joined: str | None
    steps: tuple[Message, ...]


class Delivery(Struct, frozen=True):
    """An answer that waits in the outbox; with `error` the turn failed, and `text` is what was said until then."""

    id: str
    turn_id: str
    session_id: str
    message_id: str
    channel: str
    address: str
    text: str
    error: TurnError | None
    attempts: int
    created_at: float
    expires_at: float


class DeliveryList(Struct, frozen=True):
    """Answers that are due, oldest first; each is taken for a minute, and due again unless it is settled by then."""

    deliveries: tuple[Delivery, ...]


class DeliveryFailed(Struct, frozen=True):
    """It could not be delivered; it is due again after so many seconds, or after an ever longer time."""

    again_after_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] | None = None


class MemoryRequest(Struct, frozen=True):
    """Something to remember; `source` says who said so: user, model, compaction, import."""

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
    """What a service says of itself; `details` are a few facts for people, and the memory is what is resident."""

    service: str
    version: str
    status: Literal["ok", "degraded"] = "ok"
    details: dict[str, str | int | None] = msgspec.field(default_factory=dict)
    pid: int = 0
    uptime_s: float = 0.0
    memory_bytes: int = 0


class SystemHealth(Struct, frozen=True):
    """What the gateway says of all three."""

    status: Literal["ok", "degraded"]
    version: str
    services: dict[str, str]


class ServiceState(Struct, frozen=True):
    """How a service is; what it says of itself, or why it says nothing."""

    service: str
    state: Literal["ok", "degraded", "down"]
    health: Health | None = None
    why: str = ""


class SystemState(Struct, frozen=True):
    """How all three services are."""

    services: tuple[ServiceState, ...]


class ToolItem(Struct, frozen=True):
    """A tool of the agent's; `parameters` is the JSON schema of its arguments.

    `default` is whether it is run where no rule of policy.toml says.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    default: Decision


class ToolList(Struct, frozen=True):
    """The agent's tools."""

    tools: tuple[ToolItem, ...]


class ProviderItem(Struct, frozen=True):
    """A provider of replies that is known by name.

    `key` says whether it has one, never which; `place` is its place among those in use, from 1, or 0. `state` is its
    circuit breaker's; an open one is tried again in `left_s` seconds, and `why` is what it failed with.
    """

    name: str
    title: str
    model: str
    key: Literal["set", "missing", "none needed"]
    key_setting: str = ""
    place: int = 0
    state: Literal["", "closed", "open", "half_open"] = ""
    failures: int = 0
    left_s: float = 0.0
    why: str = ""


class ProviderList(Struct, frozen=True):
    """Providers, those in use first, in their order."""

    providers: tuple[ProviderItem, ...]


class ProviderWish(Struct, frozen=True):
    """Who is to answer from now on, written as OCG_PROVIDER is: names, or name:model, the fallbacks behind."""

    providers: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class ProviderTest(Struct, frozen=True):
    """How a provider answered a short question; times are seconds."""

    name: str
    model: str
    text: str
    first_s: float
    total_s: float
    usage: Usage = Usage()
