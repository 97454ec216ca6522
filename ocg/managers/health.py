"""The health checks the contract names, by the standard library's own HTTP client: the CLI imports no other."""

import http.client
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

from ocg import config
from ocg.errors import Code, OcgError
from ocg.managers.base import AGENT, EMBEDDING

_TIMEOUT_S = 5.0
_MAX_BYTES = 65536


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of to a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path))


def gateway_url(settings: config.Common) -> str:
    """Where the gateway is, seen from this machine: a URL, or the path of its Unix socket."""
    if settings.gateway_sock:
        return str(settings.gateway_sock)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{'https' if settings.tls_cert else 'http'}://{host}:{settings.port}"


def location(service: str, settings: config.Common) -> str:
    """Where a running service serves, for people."""
    if service == EMBEDDING:
        from ocg.protocol import address  # noqa: PLC0415 - msgspec takes 15 ms, and `ocg status` needs none of it

        return address.find(settings.address_dir).url
    return str(settings.agent_sock) if service == AGENT else gateway_url(settings)


def check(service: str, where: str) -> str:
    """Ask the /health of a service that serves at `where`, a URL or the path of a socket.

    Returns `ok` or what it says is wrong; raises UNAVAILABLE when it does not answer.
    """
    connection = _UnixConnection(Path(where)) if where.startswith("/") else _tcp(where)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        body = answer.read(_MAX_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise OcgError(Code.UNAVAILABLE, f"{service} does not answer at {where}: {error}", "see its log") from None
    finally:
        connection.close()
    return _verdict(service, answer.status, body)


def _tcp(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return _encrypted(parts.hostname or "", parts.port)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)


def _encrypted(host: str, port: int | None) -> http.client.HTTPConnection:
    """Return a connection by TLS to whoever is there, as by plain HTTP: /health is open to all, and we say nothing."""
    import ssl  # noqa: PLC0415 - 20 ms, which `ocg status` needs only here

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)


def _verdict(service: str, status: int, body: bytes) -> str:
    """Read the answer; what listens there may be another program altogether."""
    try:
        found = json.loads(body)
        if found["status"] == "ok" and status == http.HTTPStatus.OK:
            return "ok"
        down = [f"{name} {state}" for name, state in found.get("services", {}).items() if state != "ok"]
        return ", ".join(down) or str(found["status"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OcgError(
            Code.UNAVAILABLE, f"what answers for {service} is another program (HTTP {status})", "choose another port"
        ) from None
