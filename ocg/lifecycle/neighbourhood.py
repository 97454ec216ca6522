"""Whom an address stands for where visitors are counted: many addresses are easily one visitor's."""

import ipaddress

_OWN_BITS = 64
_OURS = "127.0.0.1"


def neighbourhood(host: str) -> str:
    """Return whom an address is counted with: who has one of IPv6 has 2^64 (RFC 6177), and each user here all of ours.

    What is no address is returned as it is.
    """
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found
    if found.is_loopback:
        return _OURS
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(ipaddress.ip_network((int(found), _OWN_BITS), strict=False))
