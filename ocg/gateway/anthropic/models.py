"""The list of models as Anthropic's clients read it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from starlette.requests import Request

from ocg.protocol.openai import ModelItem
from ocg.protocol.struct import Struct


class ModelInfo(Struct, frozen=True, kw_only=True):
    """A model."""

    id: str
    display_name: str
    created_at: datetime
    max_input_tokens: int | None = None
    lifecycle: Literal["active"] = "active"
    type: Literal["model"] = "model"

    @classmethod
    def of(cls, item: ModelItem) -> "ModelInfo":
        """From OpenAI's."""
        created_at = datetime.fromtimestamp(item.created, UTC)
        return cls(id=item.id, display_name=item.id, created_at=created_at, max_input_tokens=item.context)


class ModelPage(Struct, frozen=True, kw_only=True):
    """All of them, on one page."""

    data: tuple[ModelInfo, ...]
    first_id: str | None
    last_id: str | None
    has_more: Literal[False] = False

    @classmethod
    def of(cls, items: Sequence[ModelItem]) -> "ModelPage":
        """From OpenAI's list; what only embeds has nothing to say."""
        data = tuple(ModelInfo.of(one) for one in items if one.kind != "embedding")
        return cls(data=data, first_id=data[0].id if data else None, last_id=data[-1].id if data else None)


def is_wanted(request: Request) -> bool:
    """Whether Anthropic's client asks: at GET /v1/models nothing else tells."""
    return "anthropic-version" in request.headers
