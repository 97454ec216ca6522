"""Where the gateway listens: an address and a port, or a Unix socket; its listener outlives a restart."""

import asyncio
import ipaddress
import socket
import time
from typing import Any

from ocg.config import GatewaySettings, token
from ocg.errors import Code, OcgError
from ocg.lifecycle import sockets
from ocg.lifecycle.notify import Notifier

# A peer that takes nothing for so long is gone, or holds our memory on purpose: the kernel resets the connection.
_STUCK_PEER_MS = 30_000
_PASSING_S = 65.0  # TCP's TIME_WAIT is 60 s on Linux
_PASSING_PAUSE_S = 0.1
# The listener's name in the manager's store of descriptors.
_FDNAME = "http"
# Whoever is in the socket's group may connect: the proxy before it.
_SOCKET_MODE = 0o660


async def open_listener(settings: GatewaySettings, inherited: list[socket.socket], notifier: Notifier) -> socket.socket:
    """Return the listener that outlived a restart, or listen. Raises PORT_IN_USE, CONFIG_INVALID or UNSAFE_PATH."""
    return await _kept(inherited, settings, notifier) or await _listen(settings, notifier)


def where(listener: socket.socket, *, is_tls: bool) -> str:
    """Say where a listener is, for people."""
    address = listener.getsockname()
    if isinstance(address, str):
        return address
    host, port = address[:2]
    return f"{'https' if is_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


async def check_reach(settings: GatewaySettings, *, has_chosen: bool) -> None:
    """Raise CONFIG_INVALID where other machines can knock and nobody has chosen a token.

    The one that OCG makes by itself is known to whoever has read this machine's files, perhaps long ago.
    """
    if settings.gateway_sock or has_chosen:
        return
    if not all(ipaddress.ip_address(host).is_loopback for host, *_ in await _addresses(settings)):
        raise OcgError(
            Code.CONFIG_INVALID,
            f"OCG_HOST={settings.host} opens ocg-gateway to other machines, and no token was chosen",
            "set OCG_UI_TOKEN, or first make a token with `ocg token create NAME`; or set OCG_HOST to 127.0.0.1",
        )


def is_chosen(settings: GatewaySettings) -> bool:
    """Whether the owner's token is one that somebody chose, which may block; where nobody did, OCG made it."""
    return bool(settings.ui_token) and settings.ui_token != token.read(settings.data_dir)


async def _kept(inherited: list[socket.socket], settings: GatewaySettings, notifier: Notifier) -> socket.socket | None:
    """Return the listener that outlived a restart, unless the settings name another place by now."""
    if not inherited:
        return None
    if await _is_wanted(inherited[0], settings):
        return inherited[0]
    notifier.forget(_FDNAME)
    for one in inherited:
        one.close()
    return None


async def _is_wanted(listener: socket.socket, settings: GatewaySettings) -> bool:
    address = listener.getsockname()
    if settings.gateway_sock:
        return bool(address == str(settings.gateway_sock)) and settings.gateway_sock.is_socket()
    return isinstance(address, tuple) and address[:2] in await _addresses(settings)


async def _addresses(settings: GatewaySettings) -> set[Any]:
    """Look up what the settings name; nothing where the name has no address, which listening there will tell."""
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {one[4][:2] for one in found}


async def _listen(settings: GatewaySettings, notifier: Notifier) -> socket.socket:
    if settings.gateway_sock:
        listener = sockets.listen_unix(settings.gateway_sock, mode=_SOCKET_MODE, key="OCG_HOST", service="ocg-gateway")
    else:
        listener = await _listen_tcp(settings, notifier)
        # Connections accepted inherit it (tcp(7)); it counts for a closed receive window too.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_PEER_MS)
    notifier.keep(listener, _FDNAME)
    return listener


async def _listen_tcp(settings: GatewaySettings, notifier: Notifier) -> socket.socket:
    """Listen; a port that somebody's outgoing connection has, or has had a minute ago, is waited for.

    55003 is among the ports that the kernel gives to those (net.ipv4.ip_local_port_range).
    """
    deadline = time.monotonic() + _PASSING_S
    while True:
        try:
            return sockets.listen_tcp(settings.host, [settings.port], key="OCG_PORT")
        except OcgError as error:
            passing = error.code is Code.PORT_IN_USE and not sockets.is_served(settings.host, settings.port)
            if not passing or time.monotonic() > deadline:
                raise
            notifier.status(f"Waiting for port {settings.port}, which is an outgoing connection's for the moment")
            notifier.extend_start(_PASSING_S)
            await asyncio.sleep(_PASSING_PAUSE_S)
