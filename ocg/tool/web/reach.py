"""Which addresses may be reached: public ones, and what the user's settings name beside."""

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ocg.errors import Code, OcgError

_MAX_ADDRESSES = 4
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# What is routed on the internet; all else of IPv6 is this machine's, this net's, or an IPv4 address in disguise.
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
# For protocols' own use, of which Python 3.11 knows parts alone.
_PROTOCOLS_4 = ipaddress.IPv4Network("192.0.0.0/24")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Where:
    """An address as sockets take it; it was checked, so connect to it and to nothing that a name may mean later."""

    family: int
    address: Any

    def connect(self, timeout_s: float) -> socket.socket:
        """Connect. Raises OSError."""
        sock = socket.socket(self.family, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout_s)
            sock.connect(self.address)
        except BaseException:
            sock.close()
            raise
        return sock


def connected(places: Sequence[Where], timeout_s: float) -> socket.socket:
    """Connect to the first that answers. Raises OSError."""
    failed = OSError("it has no address")
    for place in places[:_MAX_ADDRESSES]:
        try:
            return place.connect(timeout_s)
        except OSError as error:
            failed = error
    raise failed


class Reach:
    """What may be reached. `private` are hosts by name, addresses, and networks."""

    def __init__(self, private: Iterable[str]) -> None:
        self._hosts: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for one in private:
            try:
                self._networks.append(ipaddress.ip_network(one, strict=False))
            except ValueError:
                self._hosts.add(one.lower())

    def find(self, host: str, port: int) -> tuple[Where, ...]:
        """Resolve a host. Raises FORBIDDEN where any of its addresses may not be reached, NOT_FOUND without one."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise OcgError(Code.NOT_FOUND, f"there is no host {host!r}", "look at how it is spelt") from None
        is_named = host.lower().rstrip(".") in self._hosts
        for *_, address in found:
            if not (is_named or self._may(ipaddress.ip_address(str(address[0]).partition("%")[0]))):
                why = f"{host} is {address[0]}, which is not a public address"
                raise OcgError(Code.FORBIDDEN, why, "the user may allow it by OCG_WEB_PRIVATE")
        return tuple(Where(family, address) for family, _, _, _, address in found)

    def _may(self, address: _Address) -> bool:
        bare = _within(address)
        return _is_public(bare) or any(one in network for network in self._networks for one in (address, bare))


def _within(address: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    tunnelled = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or tunnelled or address


def _is_public(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_6:
        return False
    return address.is_global and not address.is_multicast and address not in _PROTOCOLS_4
