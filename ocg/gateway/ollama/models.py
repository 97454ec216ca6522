"""What can be asked for by name, as Ollama's clients read it; models themselves are `ocg models`' business."""

import hashlib
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.gateway.ollama.errors import OllamaError
from ocg.gateway.ollama.request import ShowRequest, plain
from ocg.gateway.openai.models import Models
from ocg.gateway.upstream import UPSTREAM_ERRORS, Embedding
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint, Handler
from ocg.protocol.openai import ModelItem
from ocg.protocol.struct import Struct

# The version of Ollama whose API this is: clients refuse to talk to an older one.
API_VERSION = "0.13.0"
_REFUSED = "Not offered: models are managed by `ocg models`"
Capability = Literal["completion", "tools", "vision", "thinking", "embedding"]


class Version(Struct, frozen=True, kw_only=True):
    """GET /api/version."""

    version: str


class Details(Struct, frozen=True, kw_only=True):
    """What kind of model it is, of which Ollama knows more than we do."""

    family: str
    families: tuple[str, ...]
    parent_model: str = ""
    format: str = ""
    parameter_size: str = ""
    quantization_level: str = ""

    @classmethod
    def of(cls, item: ModelItem) -> "Details":
        """From OpenAI's."""
        return cls(family=item.owned_by, families=(item.owned_by,))


class Listed(Struct, frozen=True, kw_only=True):
    """A model in a list. Its digest stands for its name: clients cut twelve digits out of it."""

    name: str
    model: str
    modified_at: datetime
    digest: str
    details: Details
    size: int = 0

    @classmethod
    def of(cls, item: ModelItem) -> "Listed":
        """From OpenAI's; where a name has no tag, Ollama's clients expect the default one."""
        name = item.id if ":" in item.id else f"{item.id}:latest"
        return cls(
            name=name,
            model=name,
            modified_at=datetime.fromtimestamp(item.created, UTC),
            digest=hashlib.sha256(item.id.encode()).hexdigest(),
            details=Details.of(item),
        )


class ModelTags(Struct, frozen=True, kw_only=True):
    """GET /api/tags, and /api/ps."""

    models: tuple[Listed, ...]


class Shown(Struct, frozen=True, kw_only=True):
    """POST /api/show."""

    details: Details
    model_info: dict[str, Any]
    capabilities: tuple[Capability, ...]
    modified_at: datetime
    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    license: str = ""


class ModelRoutes:
    """The routes."""

    def __init__(self, models: Models, embedding: Embedding) -> None:
        self._models = models
        self._embedding = embedding

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        shared = partial(Endpoint, failure=OllamaError, scope="chat", tag="Ollama", is_free=True)
        return (
            shared("GET", "/api/version", "Which version of Ollama's API it is", self.ollama_version, Version),
            shared("GET", "/api/tags", "List the models", self.ollama_tags, ModelTags, errors=UPSTREAM_ERRORS),
            shared("GET", "/api/ps", "List those in memory", self.ollama_running, ModelTags, errors=UPSTREAM_ERRORS),
            shared(
                "POST", "/api/show", "Describe a model", self.ollama_show, Shown,
                takes=ShowRequest, errors=(Code.MODEL_UNKNOWN, *UPSTREAM_ERRORS),
            ),
            *(
                shared("DELETE" if verb == "delete" else "POST", f"/api/{verb}", _REFUSED, _refusal(verb), None)
                for verb in ("pull", "push", "create", "copy", "delete")
            ),
        )  # fmt: skip

    async def ollama_version(self, _: Request) -> Response:
        """Say which version of Ollama's API it is."""
        return answers.answer(Version(version=API_VERSION))

    async def ollama_tags(self, _: Request) -> Response:
        """List the models."""
        return answers.answer(ModelTags(models=tuple(map(Listed.of, await self._models.all()))))

    async def ollama_running(self, _: Request) -> Response:
        """List those that are in memory."""
        details = (await self._embedding.health()).details
        told = {f"{details.get('model')} loaded", details.get("chat")}
        found = [Listed.of(one) for one in await self._models.all() if f"{one.id} loaded" in told]
        return answers.answer(ModelTags(models=tuple(found)))

    async def ollama_show(self, request: Request) -> Response:
        """Describe one."""
        asked = await answers.read(request, ShowRequest)
        return answers.answer(_shown(await self._models.find(plain(asked.model or asked.name))))


def _refusal(verb: str) -> Handler:
    """Make the handler of what is not offered, under a name of its own."""

    async def refuse(_: Request) -> Response:
        raise OcgError(Code.FORBIDDEN, f"{verb}: models are not managed here", "use `ocg models pull` on the machine")

    refuse.__name__ = f"ollama_{verb}"
    return refuse


def _shown(item: ModelItem) -> Shown:
    info: dict[str, Any] = {"general.architecture": item.owned_by, "general.basename": item.id}
    if item.context is not None:
        info[f"{item.owned_by}.context_length"] = item.context
    return Shown(
        details=Details.of(item),
        model_info=info,
        capabilities=_capabilities(item),
        modified_at=datetime.fromtimestamp(item.created, UTC),
    )


def _capabilities(item: ModelItem) -> tuple[Capability, ...]:
    if item.kind == "embedding":
        return ("embedding",)
    return ("completion", "tools") if item.tools else ("completion",)
