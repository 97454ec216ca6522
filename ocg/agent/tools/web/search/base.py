"""What an engine is that searches the web."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from ocg.config import AgentSettings


@dataclass(frozen=True, slots=True)
class Query:
    """A GET that asks an engine; its headers may hold a key."""

    url: str
    params: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Hit:
    """A page that was found."""

    title: str
    url: str
    snippet: str


class Engine(Protocol):
    """Says what is asked and reads what is answered. `hints` say what to do about a status of HTTP, `hint` about all else."""

    name: ClassVar[str]
    hints: ClassVar[Mapping[int, str]]
    hint: ClassVar[str]

    def __init__(self, settings: AgentSettings) -> None:
        """Take what it needs of them."""

    @staticmethod
    def is_set_up(settings: AgentSettings) -> bool:
        """Whether its own settings are given."""

    def query(self, text: str, limit: int) -> Query:
        """Put a question. Raises CONFIG_INVALID where a setting is missing, and names it."""

    def hits(self, body: bytes) -> Sequence[Hit]:
        """Read an answer. Raises INVALID_REQUEST for what is none."""
