"""A client of one of our services. aiohttp is slow to import, so it is imported at first use."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol import address, wire
from ocg.telemetry import spans

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 5.0
_ANSWER_TIMEOUT_S = 60.0
_MAX_ANSWER_BYTES = 64 << 20


class ConnectionLostError(OcgError):
    """The service went away, or was not there; it surely heard nothing where `was_sent` is false."""

    def __init__(self, message: str, hint: str, *, was_sent: bool) -> None:
        super().__init__(Code.UNAVAILABLE, message, hint)
        self.was_sent = was_sent


@dataclass(frozen=True, slots=True)
class Raw:
    """A request that is passed on for somebody else, with headers of theirs; its answer is theirs, whatever it is."""

    headers: Mapping[str, str] = field(default_factory=dict)


class Client:
    """One connection pool to one service; `service` is its name in messages."""

    service = ""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def _locate(self) -> address.Address:
        raise NotImplementedError

    def _connector(self) -> "aiohttp.BaseConnector | None":
        return None

    def _credentials(self, where: address.Address) -> dict[str, str]:
        return {"Authorization": f"Bearer {where.token}"} if where.token else {}

    @asynccontextmanager
    async def send(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        silence_s: float | None = None,
        raw: Raw | None = None,
    ) -> "AsyncIterator[aiohttp.ClientResponse]":
        """Send a request and give the answer with its body unread. Raises UNAVAILABLE, TIMEOUT or the service's error.

        `silence_s` makes it a stream: any length, but no pause longer than that. With `raw`, an error is an answer too.
        """
        import aiohttp  # noqa: PLC0415

        where = self._locate()
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=self._connector(), auto_decompress=False)
        headers = {
            "Content-Type": wire.JSON,
            **(raw.headers if raw else {}),
            **spans.headers(),
            **self._credentials(where),
        }
        timeout = aiohttp.ClientTimeout(
            total=None if silence_s else _ANSWER_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S, sock_read=silence_s
        )
        try:
            async with self._session.request(
                method, where.url + path, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status >= 400 and raw is None:  # noqa: PLR2004 - HTTP's classes
                    raise wire.read_error(response.status, await response.content.read(65536))
                yield response
        except TimeoutError:
            raise OcgError(
                Code.TIMEOUT, f"{self.service} did not answer in time", "see its log, or try again"
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise ConnectionLostError(
                f"{self.service} cannot be reached: {error.strerror}", "ocg status", was_sent=False
            ) from None
        except aiohttp.ClientError as error:
            raise ConnectionLostError(f"{self.service} went away: {error}", "ocg status", was_sent=True) from None

    async def call(
        self, method: str, path: str, answer: type[T], body: Any = None, *, silence_s: float | None = None
    ) -> T:
        """Send a request and read its whole answer; see `send`."""
        data = None if body is None else wire.encode(body)
        async with self.send(method, path, data=data, silence_s=silence_s) as response:
            body = await self.whole(response)
        try:
            return msgspec.json.decode(body, type=answer)
        except msgspec.DecodeError as error:
            raise OcgError(
                Code.PROVIDER, f"{self.service} answered something else: {error}", "see that all versions match"
            ) from None

    async def metrics(self) -> bytes:
        """Ask for its metrics, in OpenMetrics' text format."""
        async with self.send("GET", "/metrics") as response:
            return await self.whole(response)

    async def whole(self, response: "aiohttp.ClientResponse") -> bytes:
        """Read an answer to its end. Raises PROVIDER when it is longer than 64 MiB."""
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _MAX_ANSWER_BYTES:
                raise OcgError(Code.PROVIDER, f"{self.service} answered with more than 64 MiB", "ask for less at once")
        return bytes(body)
