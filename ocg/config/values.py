"""How the text of one setting is read; each raises ValueError saying what was expected."""

import shlex
from pathlib import Path
from urllib.parse import urlsplit

_MAX_PORT = 65535


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


def words(text: str) -> tuple[str, ...]:
    """Read a list of words parted by commas or white space."""
    return tuple(text.replace(",", " ").split())


def command(text: str) -> tuple[str, ...]:
    """Read a program and its arguments, quoted as in a shell; no shell ever sees them."""
    try:
        return tuple(shlex.split(text))
    except ValueError:
        raise ValueError("expected a closing quote") from None


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
