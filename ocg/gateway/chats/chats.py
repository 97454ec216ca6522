"""Who answers a chat: its model says so."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import Enum

import msgspec

from ocg.config.presets import LOCAL, PRESETS
from ocg.errors import Code
from ocg.gateway.chats import upstream
from ocg.gateway.chats.agent import AgentChats
from ocg.gateway.chats.pieces import Piece, begun
from ocg.gateway.chats.turn import AGENT_MODEL, Asker, turn_of
from ocg.gateway.tasks import Tasks
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent, Embedding
from ocg.lifecycle.endpoints import Parameter
from ocg.protocol.messages import Name
from ocg.protocol.openai import ChatRequest

_AGENT_NAMES = frozenset({AGENT_MODEL, "", "default"})
_PROVIDERS = frozenset(one.name for one in PRESETS)
PATH = "/v1/chat/completions"
SESSION = Parameter("X-OCG-Session", Name, "the agent's session to go on in", place="header")
# What may come of a chat, whoever answers it.
ERRORS = (
    Code.MODEL_UNKNOWN,
    Code.MODEL_MISSING,
    Code.CONTEXT_LENGTH,
    Code.LIMIT,
    Code.CANCELLED,
    *UPSTREAM_ERRORS,
)


class Kind(Enum):
    """Who has a model."""

    AGENT = "agent"
    LOCAL = "local"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who answers: the agent, the local model of that name, or a provider with its model of that name."""

    kind: Kind
    model: str
    provider: str = ""

    @classmethod
    def of(cls, model: str) -> "Answerer":
        """Read a model's name as clients give it."""
        if model in _AGENT_NAMES:
            return cls(Kind.AGENT, AGENT_MODEL)
        provider, is_there, name = model.partition("/")
        if not is_there or provider not in _PROVIDERS:
            return cls(Kind.LOCAL, model)
        if provider == LOCAL:
            return cls(Kind.LOCAL, name)
        return cls(Kind.PROVIDER, name, provider)


class Chats:
    """Hands each chat to whom its model names."""

    def __init__(self, agent: Agent, embedding: Embedding, tasks: Tasks) -> None:
        self._agent = agent
        self._embedding = embedding
        self._turns = AgentChats(agent, tasks)

    async def open(self, chat: ChatRequest, asker: Asker) -> AsyncGenerator[Piece, None]:
        """Begin to answer: what fails before the first piece fails here. Closing what is returned ends the work.

        Raises INVALID_REQUEST, MODEL_UNKNOWN and whatever the one who answers meets.
        """
        return await begun(self._pieces(chat, asker))

    def _pieces(self, chat: ChatRequest, asker: Asker) -> AsyncGenerator[Piece, None]:
        answerer = Answerer.of(chat.model)
        match answerer.kind:
            case Kind.AGENT:
                return self._turns.pieces(turn_of(chat, asker))
            case Kind.LOCAL:
                asked = msgspec.structs.replace(chat, model=answerer.model)
                return upstream.pieces(self._embedding, PATH, asked)
            case Kind.PROVIDER:
                return upstream.pieces(self._agent, f"/v1/providers/{answerer.provider}/chat/completions", chat)
