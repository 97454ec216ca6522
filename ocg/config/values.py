"""How the text of one setting is read; each raises ValueError saying what was expected."""

import ipaddress
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_MAX_PORT = 65535
UNIX = "unix"
# An origin of a page, or of an application: app://obsidian.md, chrome-extension://….
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_MILLION = 1_000_000
_MAX_THINKING_TOKENS = 128_000


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars a million tokens; those that the provider read from its cache may cost less."""

    input: float = 0.0
    output: float = 0.0
    cached: float = 0.0

    def of(self, *, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> float:
        """Return what tokens cost; the cached ones are among the prompt's."""
        fresh = (prompt_tokens - cached_tokens) * self.input
        return (fresh + cached_tokens * self.cached + completion_tokens * self.output) / _MILLION


@dataclass(frozen=True, slots=True)
class Thinking:
    """How much a model is to think before it answers; as it does by itself, when nothing of this is set."""

    is_off: bool = False
    is_adaptive: bool = False
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Networks:
    """Addresses of IP networks, and perhaps whoever comes by the Unix socket."""

    parts: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    has_unix: bool = False

    def __bool__(self) -> bool:
        """Whether anybody is among them at all."""
        return bool(self.parts) or self.has_unix

    def __contains__(self, host: str) -> bool:
        """Whether an address is one of them; an empty one is that of a Unix socket's client."""
        if not host:
            return self.has_unix
        if not self.parts:
            return False
        if not is_address(host):
            return False
        address = ipaddress.ip_address(host)
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in part for part in self.parts)


def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def boolean(text: str) -> bool:
    """Read a boolean as systemd does (systemd.syntax(7))."""
    match text.strip().lower():
        case "1" | "yes" | "true" | "on":
            return True
        case "0" | "no" | "false" | "off":
            return False
    raise ValueError("expected yes or no")


def port(text: str) -> int:
    """Read a TCP port, 0 to 65535."""
    number = int(text) if text.isdecimal() else -1
    if not 0 <= number <= _MAX_PORT:
        raise ValueError("expected a port from 0 to 65535")
    return number


def count(text: str) -> int:
    """Read a whole number that is not negative."""
    if not text.isdecimal():
        raise ValueError("expected a whole number, 0 or more")
    return int(text)


def fraction(text: str) -> float:
    """Read a number from 0 to 1."""
    number = _number(text)
    if not 0.0 <= number <= 1.0:
        raise ValueError("expected a number from 0 to 1")
    return number


def seconds(text: str) -> float:
    """Read a number of seconds that is not negative."""
    number = _number(text)
    if not 0.0 <= number < float("inf"):
        raise ValueError("expected a number of seconds, 0 or more")
    return number


def dollars(text: str) -> float:
    """Read an amount of money that is not negative."""
    amount = _number(text)
    if not 0.0 <= amount < float("inf"):
        raise ValueError("expected an amount in US dollars, 0 or more")
    return amount


def path(text: str) -> Path:
    """Read a path; `~` is the user's home, and a relative path is made absolute here, once."""
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError("expected a path; there is no such user's home") from None


def optional_path(text: str) -> Path | None:
    """Read a path that may be left empty."""
    return path(text) if text else None


def level(text: str) -> str:
    """Read a log level."""
    name = text.strip().upper()
    if name not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ValueError("expected debug, info, warning or error")
    return name


def capture(text: str) -> str:
    """Read whether facts are kept on their own: off, on or ask."""
    name = text.strip().lower()
    if name not in {"off", "on", "ask"}:
        raise ValueError("expected off, on or ask")
    return name


def sandbox(text: str) -> str:
    """Read what confines tools: bubblewrap, systemd or none."""
    name = text.strip().lower()
    if name not in {"bubblewrap", "systemd", "none"}:
        raise ValueError("expected bubblewrap, systemd or none")
    return name


def engine(text: str) -> str:
    """Read what searches the web; it may be left empty."""
    name = text.strip().lower()
    if name not in {"", "searxng", "brave"}:
        raise ValueError("expected searxng or brave")
    return name


def words(text: str) -> tuple[str, ...]:
    """Read a list of words parted by commas or white space."""
    return tuple(text.replace(",", " ").split())


def origins(text: str) -> frozenset[str]:
    """Read origins of web pages, as browsers send them: a scheme and a host, a port where it is not the usual one."""
    found = frozenset(word.lower() for word in words(text))
    if any(not _ORIGIN.fullmatch(one) for one in found):
        raise ValueError("expected origins such as https://app.example or http://localhost:3000, with nothing behind")
    return found


def networks(text: str) -> Networks:
    """Read addresses and networks, and the word unix."""
    found = words(text.lower())
    try:
        parts = tuple(ipaddress.ip_network(one) for one in found if one != UNIX)
    except ValueError:
        raise ValueError("expected addresses, networks such as 10.0.0.0/24, or unix") from None
    return Networks(parts, has_unix=UNIX in found)


def command(text: str) -> tuple[str, ...]:
    """Read a program and its arguments, quoted as in a shell; no shell ever sees them."""
    try:
        return tuple(shlex.split(text))
    except ValueError:
        raise ValueError("expected a closing quote") from None


def price(text: str) -> Price:
    """Read prices a million tokens as input/output or input/output/cached; cached ones cost as input unless said."""
    if not text.strip():
        return Price()
    try:
        numbers = [seconds(one) for one in text.split("/")]
    except ValueError:
        numbers = []
    if len(numbers) not in {2, 3}:
        raise ValueError("expected US dollars a million tokens as input/output or input/output/cached")
    return Price(numbers[0], numbers[1], numbers[2] if numbers[2:] else numbers[0])


def thinking(text: str) -> Thinking:
    """Read how much a model is to think: off, adaptive, or a number of tokens."""
    match text.strip().lower():
        case "":
            return Thinking()
        case "off" | "0":
            return Thinking(is_off=True)
        case "adaptive":
            return Thinking(is_adaptive=True)
        case number if number.isdecimal() and int(number) <= _MAX_THINKING_TOKENS:
            return Thinking(tokens=int(number))
    raise ValueError(f"expected off, adaptive, or a number of tokens up to {_MAX_THINKING_TOKENS}")


def web_address(text: str) -> str:
    """Read an http or https address; it may be left empty."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if text and (not usable or not text.isprintable() or " " in text):
        raise ValueError("expected an address that begins with http:// or https://")
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
