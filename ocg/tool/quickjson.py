"""JSON by json's own scanner in C, but without json, of which the import takes as long as all else that a tool does."""

from _json import encode_basestring_ascii, make_scanner

TYPE_CHECKING = False  # typing takes as long
if TYPE_CHECKING:
    from typing import Any


class _Plain:
    """What the scanner asks for: Python's own types."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


_scan = make_scanner(_Plain)  # type: ignore[arg-type]  # of it the types say only what it makes
quoted = encode_basestring_ascii


def loads(data: bytes) -> "Any":
    """Read what msgspec wrote: no space is before or after it."""
    return _scan(data.decode(), 0)[0]
