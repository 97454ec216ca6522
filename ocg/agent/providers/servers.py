"""Ollama, llama-server and vLLM, asked which model they have, how long its context is, and what it takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ocg.agent.imports import load_aiohttp
from ocg.agent.providers.base import Model
from ocg.agent.providers.transport import bearer, unreached
from ocg.config.presets import Server
from ocg.errors import Code, OcgError
from ocg.protocol import wire

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

# A model may be loaded with another context at any time.
_KNOWN_S = 60.0
_TIMEOUT_S = 10.0
_MAX_ANSWER_BYTES = 4 << 20


class _Item(msgspec.Struct):
    id: str = ""
    max_model_len: int | None = None


class _List(msgspec.Struct):
    data: list[_Item] = []


class _Loaded(msgspec.Struct):
    name: str = ""
    context_length: int | None = None


class _LoadedList(msgspec.Struct):
    models: list[_Loaded] = []


class _Shown(msgspec.Struct):
    capabilities: list[str] | None = None


class _Generation(msgspec.Struct):
    n_ctx: int | None = None


class _Modalities(msgspec.Struct):
    vision: bool = False


class _Props(msgspec.Struct):
    default_generation_settings: _Generation | None = None
    modalities: _Modalities | None = None


class Asking:
    """Asks one server about its model; what it does not say is as in `known`."""

    def __init__(self, server: Server, name: str, base_url: str, token: str, known: Model) -> None:
        self._ask = _ASK[server]
        self._name = name
        self._root = base_url.rstrip("/").removesuffix("/v1")
        self._headers: Mapping[str, str] = bearer(token)
        self._known = known
        self._found: tuple[float, Model] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def model(self) -> Model:
        """Return the model, asked for once a minute. Raises UNAVAILABLE when nobody is there, MODEL_MISSING."""
        if self._found is None or time.monotonic() - self._found[0] > _KNOWN_S:
            self._found = time.monotonic(), await self._ask(self, self._known)
        return self._found[1]

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    async def named(self, known: Model) -> tuple[Model, list[_Item]]:
        """Return the model with a name, the first that the server lists where it had none, and the list."""
        items = (await self.call("GET", "/v1/models", _List())).data
        if known.name or not items:
            return known, items
        return replace(known, name=items[0].id), items

    async def call(self, method: str, path: str, default: T, body: Any = None) -> T:
        """Ask for something of the default's kind; who does not know it, or says it otherwise, says nothing."""
        await load_aiohttp()
        import aiohttp  # noqa: PLC0415 - slow to import; loaded by now

        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        data = None if body is None else wire.encode(body)
        try:
            async with (
                asyncio.timeout(_TIMEOUT_S),
                self._session.request(
                    method, self._root + path, data=data, headers=self._headers, allow_redirects=False
                ) as response,
            ):
                if response.status != 200:  # noqa: PLR2004 - HTTP's
                    return default
                return msgspec.json.decode(await _whole(response), type=type(default))
        except aiohttp.ClientConnectorError as error:
            raise OcgError(
                Code.UNAVAILABLE, unreached(self._name, error), "start it, or use another provider"
            ) from None
        except (aiohttp.ClientError, msgspec.DecodeError):
            return default
        except TimeoutError:
            raise OcgError(Code.TIMEOUT, f"{self._name} does not say which model it has", "see its log") from None


async def _whole(response: "aiohttp.ClientResponse") -> bytes:
    """Read an answer up to the longest that is read; the rest makes it no JSON."""
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > _MAX_ANSWER_BYTES:
            break
    return bytes(data)


async def _ollama(asking: Asking, known: Model) -> Model:
    """What a model was loaded with counts: its own context may be much longer than what Ollama gives it."""
    model, _ = await asking.named(known)
    if not model.name:
        raise OcgError(Code.MODEL_MISSING, "Ollama has no model", "ollama pull NAME")
    loaded = (await asking.call("GET", "/api/ps", _LoadedList())).models
    context = next((one.context_length for one in loaded if one.name in {model.name, f"{model.name}:latest"}), None)
    can = (await asking.call("POST", "/api/show", _Shown(), {"model": model.name})).capabilities
    if can is not None:
        model = replace(model, takes_tools="tools" in can, takes_images="vision" in can)
    return replace(model, context_tokens=context or model.context_tokens)


async def _llama(asking: Asking, known: Model) -> Model:
    model, _ = await asking.named(known)
    props = await asking.call("GET", "/props", _Props())
    context = (props.default_generation_settings or _Generation()).n_ctx
    vision = (props.modalities or _Modalities()).vision
    return replace(model, context_tokens=context or model.context_tokens, takes_images=vision)


async def _vllm(asking: Asking, known: Model) -> Model:
    model, items = await asking.named(known)
    context = next((one.max_model_len for one in items if one.id == model.name), None)
    return replace(model, context_tokens=context or model.context_tokens)


_ASK: Mapping[Server, Callable[[Asking, Model], Awaitable[Model]]] = {
    Server.OLLAMA: _ollama,
    Server.LLAMA: _llama,
    Server.VLLM: _vllm,
}
