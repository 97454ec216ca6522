"""Looking at pictures of the workspace."""

from typing import Literal

import msgspec

from ocg.protocol.tooling.files import Path

MAX_BYTES = 10 << 20
MediaType = Literal["image/png", "image/jpeg", "image/gif", "image/webp"]


class Picture(msgspec.Struct, frozen=True, tag_field="op", tag="picture"):
    """A picture whose bytes are the result."""

    path: Path


def media_type(data: bytes) -> MediaType | None:
    """Say what kind of picture it is by how it begins; None for what models do not take."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else None
