"""Spans of a trace: what is under way, so that whoever works for it is told (W3C Trace Context).

Without a tracer nothing of this costs more than a look.
"""

import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from enum import Enum, auto
from types import MappingProxyType
from typing import Protocol

from ocg.errors import Code, OcgError

Attributes = Mapping[str, str | int | float]
NO_ATTRIBUTES: Attributes = MappingProxyType({})

HEADER = "traceparent"
# The extra `otel` in pyproject.toml.
_PACKAGES = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")


class Kind(Enum):
    """Which side of a request a span is of."""

    SERVER = auto()
    CLIENT = auto()
    INTERNAL = auto()


class Span(Protocol):
    """A piece of work in a trace."""

    @property
    def traceparent(self) -> str:
        """What another service is told, in the header of that name."""

    def note(self, attributes: Attributes) -> None:
        """Add what is known by now. Nothing that a user or a model has said belongs here."""

    def rename(self, name: str) -> None:
        """Give it the name that is known by now."""

    def fail(self, error: str) -> None:
        """It went badly; `error` is a code, no text."""

    def end(self) -> None:
        """It is over."""


class Tracer(Protocol):
    """Makes spans and sends them where they are wanted."""

    def begin(self, name: str, *, kind: Kind, parent: Span | str | None, attributes: Attributes) -> Span:
        """Begin a span below another, or below the one that a header names; without either, a new trace."""

    async def close(self) -> None:
        """Send what is left, within a second."""


_current: ContextVar[Span | None] = ContextVar("_current", default=None)


@contextmanager
def span(
    tracer: Tracer | None,
    name: str,
    *,
    kind: Kind = Kind.INTERNAL,
    parent: str = "",
    attributes: Attributes = NO_ATTRIBUTES,
) -> Iterator[Span | None]:
    """Have a span for as long as the block runs: what is done in it, and asked of other services, belongs to it."""
    if tracer is None:
        yield None
        return
    before = _current.get()
    made = tracer.begin(name, kind=kind, parent=parent or before, attributes=attributes)
    _current.set(made)
    try:
        yield made
    except BaseException as error:
        made.fail(code_of(error))
        raise
    finally:
        # Not by a token: an async generator may be closed in another context than it began in.
        _current.set(before)
        made.end()


def code_of(error: BaseException) -> str:
    """Return the code of what ended a piece of work."""
    if isinstance(error, OcgError):
        return error.code
    return Code.INTERNAL if isinstance(error, Exception) else Code.CANCELLED


def headers() -> dict[str, str]:
    """Return what a request to another service of ours says of the span it is made in."""
    current = _current.get()
    return {HEADER: current.traceparent} if current is not None else {}


@asynccontextmanager
async def tracing(url: str, service: str) -> AsyncIterator[Tracer | None]:
    """Have what sends spans by OTLP to a collector, or nothing where there is no URL. Raises CONFIG_INVALID."""
    tracer = _opened(url, service) if url else None
    try:
        yield tracer
    finally:
        if tracer is not None:
            await tracer.close()


def _opened(url: str, service: str) -> Tracer:
    try:
        from ocg.telemetry.otel import OtelTracer  # noqa: PLC0415 - 50 ms and 6 MB, for those who want traces
    except ImportError as error:
        raise OcgError(
            Code.CONFIG_INVALID,
            f"OCG_TRACES needs OpenTelemetry's SDK, which is not installed ({error.name})",
            f"{sys.executable} -m pip install {' '.join(_PACKAGES)}, or leave OCG_TRACES empty",
        ) from None
    return OtelTracer(url, service)
