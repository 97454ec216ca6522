"""A quick look at a GGUF file, so that a cut-off or foreign file never reaches llama.cpp, which would crash on it."""

import struct
from pathlib import Path

from ocg.errors import Code, OcgError

_HEADER = struct.Struct("<4sIQQ")  # magic, version, tensors, key-value pairs
_MAX_TENSORS = 100_000
_VERSIONS = (2, 3)


def check(path: Path, *, size_bytes: int | None = None) -> None:
    """Check a GGUF's header, and its size where it is known. Raises MODEL_MISSING or MODEL_DAMAGED."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEADER.size)
            actual = stream.seek(0, 2)
    except OSError as error:
        raise OcgError(
            Code.MODEL_MISSING, f"the model {path} cannot be read: {error.strerror}", "see `ocg models list`"
        ) from None
    if len(head) < _HEADER.size:
        raise _damaged(path, "it is cut off")
    magic, version, tensors, pairs = _HEADER.unpack(head)
    if magic != b"GGUF" or version not in _VERSIONS:
        raise _damaged(path, "it is not a GGUF file")
    if not 0 < tensors < _MAX_TENSORS or not 0 < pairs < _MAX_TENSORS:
        raise _damaged(path, "its header makes no sense")
    if size_bytes is not None and actual != size_bytes:
        raise _damaged(path, f"it has {actual} bytes where {size_bytes} belong")


def _damaged(path: Path, why: str) -> OcgError:
    return OcgError(
        Code.MODEL_DAMAGED,
        f"the model {path} is damaged: {why}",
        f"ocg models rm {path.stem} && ocg models pull {path.stem}",
    )
