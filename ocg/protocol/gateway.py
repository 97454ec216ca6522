"""A client of ocg-gateway that has the owner's token and sends it to nobody.

Another user's program may listen where the gateway should: what signs in is a code that works once, at a gateway that
ran before the code was made.
"""

import time
from http.cookies import SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ocg.errors import Code, OcgError
from ocg.protocol import access, login, wire
from ocg.protocol.address import Address
from ocg.protocol.client import Client
from ocg.protocol.messages import Changed

if TYPE_CHECKING:
    import aiohttp


class GatewayClient(Client):
    """ocg-gateway at a URL or a Unix socket's path; to be signed in before anything else is asked."""

    service = "ocg-gateway"

    def __init__(self, where: str, ui_token: str) -> None:
        super().__init__()
        self._where = where
        self._ui_token = ui_token
        self._cookie = ""

    def _locate(self) -> Address:
        return Address("http://localhost" if self._socket else self._where)

    @property
    def _socket(self) -> Path | None:
        return Path(self._where) if self._where.startswith("/") else None

    def _connector(self) -> "aiohttp.BaseConnector | None":
        import aiohttp  # noqa: PLC0415 - slow to import

        if self._socket:
            return aiohttp.UnixConnector(str(self._socket))
        # A certificate is for the gateway's names, and not for this machine; there is no secret in what we send.
        return aiohttp.TCPConnector(ssl=False)

    def _credentials(self, where: Address) -> dict[str, str]:
        del where
        return {"Cookie": f"{login.COOKIE_NAME}={self._cookie}"} if self._cookie else {}

    async def sign_in(self) -> None:
        """Sign in. Raises UNAVAILABLE, or UNAUTHORIZED where the gateway has another token."""
        body = wire.encode({"code": login.new_code(self._ui_token, time.time())})
        async with self.send("POST", "/login", data=body) as response:
            found = SimpleCookie(response.headers.get("Set-Cookie", "")).get(login.COOKIE_NAME)
        if found is None:
            raise OcgError(Code.PROVIDER, "what answers for ocg-gateway is another program", "ocg status")
        self._cookie = found.value

    async def tokens(self) -> access.TokenList:
        """List the named tokens."""
        return await self.call("GET", "/v1/tokens", access.TokenList)

    async def create_token(self, request: access.TokenRequest) -> access.TokenMade:
        """Make a named token. Raises CONFLICT."""
        return await self.call("POST", "/v1/tokens", access.TokenMade, request)

    async def revoke_token(self, name: str) -> None:
        """Have a token count no more. Raises NOT_FOUND."""
        await self.call("DELETE", f"/v1/tokens/{quote(name, safe='')}", Changed)

    async def limits(self) -> access.RateLimitList:
        """List the rate limits."""
        return await self.call("GET", "/v1/ratelimits", access.RateLimitList)

    async def set_limit(self, limit: access.RateLimit) -> access.RateLimit:
        """Set a rate limit. Raises INVALID_REQUEST."""
        return await self.call("POST", "/v1/ratelimits", access.RateLimit, limit)

    async def lift_limit(self, key: str) -> None:
        """Lift a rate limit. Raises NOT_FOUND."""
        await self.call("DELETE", f"/v1/ratelimits/{quote(key, safe='')}", Changed)
