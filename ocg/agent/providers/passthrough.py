"""Requests passed on to a provider as they came, and its answers as they come: only the model and the key are ours."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import msgspec

from ocg.agent.imports import load_aiohttp
from ocg.agent.providers.masking import masked
from ocg.agent.providers.places import Place
from ocg.agent.providers.refusal import RefusedError, from_api
from ocg.agent.providers.transport import CONNECT_TIMEOUT_S, MAX_ERROR_BYTES, beginning, unreached
from ocg.errors import Code, OcgError
from ocg.lifecycle.relay import Opened
from ocg.protocol import wire
from ocg.protocol.openai import AnswerCount, with_model

if TYPE_CHECKING:
    import aiohttp

# A whole answer comes after all of its thinking: OpenAI's own clients wait as long.
_SILENCE_S = 600.0


class _Named(msgspec.Struct):
    model: str
    n: AnswerCount | None = None


@dataclass(slots=True)
class _Way:
    """Whether a request went over a connection that had been used before."""

    was_kept: bool = False


class Passthrough:
    """Connections to providers. What a provider refuses is passed on too, in our words; nothing is tried again."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def open(self, place: Place, url: str, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[Opened]:
        """Ask, and give the answer. Raises UNAVAILABLE, TIMEOUT, and PROVIDER where it breaks off."""
        await load_aiohttp()
        import aiohttp  # noqa: PLC0415 - slow to import; loaded by now

        try:
            async with await self._post(url, body, headers) as response:
                if response.status != 200:  # noqa: PLR2004 - HTTP's
                    yield await _refused(place, response)
                    return
                opened = Opened.of(response)
                async with aclosing(masked(opened.chunks, place.blamed.secret)) as chunks:
                    yield replace(opened, chunks=chunks)
        except TimeoutError:
            raise OcgError(Code.TIMEOUT, f"{place.title} was silent for too long", "ask again, or for less") from None
        except aiohttp.ClientConnectorError as error:
            hint = f"check {place.blamed.base_url}"
            raise OcgError(Code.UNAVAILABLE, unreached(place.title, error), hint) from None
        except aiohttp.ClientError as error:
            # Its text may hold the URL, and that a password.
            raise OcgError(Code.PROVIDER, f"{place.title} broke off: {type(error).__name__}", "ask again") from None

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> "aiohttp.ClientResponse":
        """Send a request; once more where a kept connection turns out to be closed, where servers close idle ones."""
        import aiohttp  # noqa: PLC0415 - as above

        way = _Way()
        try:
            return await self._sent(url, body, headers, way)
        except aiohttp.ServerDisconnectedError:
            if not way.was_kept:
                raise  # who took a new one has read the request, and may bill it
            return await self._sent(url, body, headers, way)

    async def _sent(self, url: str, body: bytes, headers: Mapping[str, str], way: _Way) -> "aiohttp.ClientResponse":
        import aiohttp  # noqa: PLC0415 - as above

        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_connection_reuseconn.append(_note_kept)
            # Who may ask bounds how many: ocg-gateway its connections, and the socket's mode everybody else.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Content-Type": wire.JSON, "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=_SILENCE_S),
                trace_configs=[tracing],
            )
        return await self._session.post(url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=way)


async def _note_kept(_session: object, trace: SimpleNamespace, _params: object) -> None:
    trace.trace_request_ctx.was_kept = True


def renamed(body: bytes, provider: str) -> bytes:
    """Put the provider's own name of the model in the place of `<provider>/<name>`. Raises INVALID_REQUEST."""
    model = wire.decode(_Named, body).model
    name = own_name(model, provider)
    return body if name == model else with_model(body, name)


def own_name(model: str, provider: str) -> str:
    """Return what a provider calls its model `<provider>/<name>`. Raises INVALID_REQUEST when it is no name at all."""
    if not (name := model.removeprefix(f"{provider}/")):
        raise OcgError(Code.INVALID_REQUEST, f"model: {model!r} names none", "write PROVIDER/MODEL", param="model")
    return name


async def _refused(place: Place, response: "aiohttp.ClientResponse") -> Opened:
    """Tell in our words what a provider refuses."""
    status, retry_after = response.status, response.headers.get("Retry-After", "")
    said = await beginning(response, MAX_ERROR_BYTES)
    error = from_api(place.title, status, retry_after, said, settings=place.blamed).error
    told, code = _meant(status, error)
    headers = {"Content-Type": wire.JSON} | ({"Retry-After": retry_after} if retry_after else {})
    return Opened(told, _once(wire.error_body(OcgError(code, error.message, error.hint))), headers)


def _meant(status: int, error: OcgError) -> tuple[int, Code]:
    """Return the status and the code for whoever asked: the provider's status, unless it is us that it refuses."""
    if isinstance(error, RefusedError):
        return status, Code.TOO_LARGE if status == 413 else Code.INVALID_REQUEST  # noqa: PLR2004 - HTTP's
    if status == 404:  # noqa: PLR2004 - HTTP's
        return status, Code.MODEL_UNKNOWN
    is_told = status >= 500 or error.code is not Code.PROVIDER  # noqa: PLR2004 - HTTP's classes
    return status if is_told else error.code.http_status, error.code


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
