"""The base of all that crosses between processes."""

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen, and unknown fields are ignored so that versions can differ."""
