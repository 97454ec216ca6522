"""Where web tools may not go: an address is judged by what it is, whatever it is called."""

import socket
from typing import Any

import pytest

from ocg.errors import Code, OcgError
from ocg.tool.web.reach import Reach


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.9.9.9", "localhost", "0.0.0.0", "0", "2130706433", "0x7f.1", "017700000001",
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "192.0.0.8", "198.18.0.1",
        "224.0.0.1", "255.255.255.255", "240.0.0.1",
        "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:c0a8:101::",
        "2001:0:7f00:1::80ff:fffe", "2001:db8::1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_not_reached(host: str) -> None:
    with pytest.raises(OcgError) as caught:
        Reach(()).find(host, 80)
    assert caught.value.code is Code.FORBIDDEN
    assert "OCG_WEB_PRIVATE" in caught.value.hint


@pytest.mark.parametrize("host", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_what_is_public_is_reached(host: str) -> None:
    assert Reach(()).find(host, 80)[0].address[:2] == (host, 80)


@pytest.mark.parametrize(
    ("private", "host"),
    [
        (("127.0.0.1",), "127.0.0.1"),
        (("127.0.0.0/8",), "::ffff:127.0.0.2"),
        (("192.168.1.7/24",), "192.168.1.200"),
        (("fd00::/8",), "fd00::5"),
        (("LocalHost",), "localhost"),
    ],
)
def test_what_the_user_names_is_reached_too(private: tuple[str, ...], host: str) -> None:
    assert Reach(private).find(host, 80)


def test_naming_one_host_allows_no_other_at_the_same_address() -> None:
    with pytest.raises(OcgError):
        Reach(("nas.lan",)).find("localhost", 80)


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolves(monkeypatch, "93.184.216.34", "169.254.169.254")
    with pytest.raises(OcgError) as caught:
        Reach(()).find("mixed.example", 80)
    assert "169.254.169.254" in caught.value.message


def test_a_name_that_means_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(OcgError) as caught:
        Reach(()).find("nowhere.example", 80)
    assert caught.value.code is Code.NOT_FOUND


def _resolves(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
