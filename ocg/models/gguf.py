"""A look at a GGUF file, so that a cut-off or foreign one is refused with a reason before llama.cpp maps it.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The package `gguf` reads it too, but takes
0.15 s to import.
"""

import mmap
import struct
from math import prod
from pathlib import Path
from typing import NamedTuple

from ocg.errors import Code, OcgError

_HEADER = struct.Struct("<4sIQQ")  # magic, version, tensors, key-value pairs
_MAX_TENSORS = 100_000
_MAX_STRINGS = 10_000_000  # no vocabulary has more; a file of zeros would claim so
_MAX_DIMENSIONS = 4
_VERSIONS = (2, 3)
_ALIGNMENT_KEY, _DEFAULT_ALIGNMENT = b"general.alignment", 32
_UINT32, _STRING, _ARRAY = 4, 8, 9
# The bytes of a value by its type; strings and arrays carry their own length.
_VALUE_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# How many weights a block has and how many bytes it takes, by ggml_type.
_BLOCKS = (
    {0: (1, 4), 1: (1, 2), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 30: (1, 2)}
    | {2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 20: (32, 18), 39: (32, 17)}
    | {10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)}
    | {16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 21: (256, 110), 22: (256, 82), 23: (256, 136)}
    | {29: (256, 56), 34: (256, 54), 35: (256, 66)}
)


class _Header(NamedTuple):
    tensors: int
    pairs: int


def check(path: Path, *, size_bytes: int | None = None) -> None:
    """Check the fixed header, and the size where it is known: 0.01 ms. Raises MODEL_MISSING or MODEL_DAMAGED."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEADER.size)
            actual = stream.seek(0, 2)
    except OSError as error:
        raise _unreadable(path, error) from None
    _read_header(path, head)
    if size_bytes is not None and actual != size_bytes:
        raise _damaged(path, f"it has {actual} bytes where {size_bytes} belong")


def check_whole(path: Path) -> None:
    """Check that every tensor the file announces is in it: 5 ms for 30,000 tokens, 20 ms for 49,000 and as many merges.

    Raises MODEL_MISSING or MODEL_DAMAGED.
    """
    check(path)
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            needed = _Walk(data).end(_read_header(path, data[: _HEADER.size]))
            actual = len(data)
    except OSError as error:
        raise _unreadable(path, error) from None
    except (struct.error, ValueError, OverflowError):
        raise _damaged(path, "it is cut off or its header makes no sense") from None
    if actual < needed:
        raise _damaged(path, f"it is cut off: {actual} bytes of {needed}")


def _read_header(path: Path, head: bytes) -> _Header:
    if len(head) < _HEADER.size:
        raise _damaged(path, "it is cut off")
    magic, version, tensors, pairs = _HEADER.unpack(head)
    if magic != b"GGUF" or version not in _VERSIONS:
        raise _damaged(path, "it is not a GGUF file")
    if not 0 < tensors < _MAX_TENSORS or not 0 < pairs < _MAX_TENSORS:
        raise _damaged(path, "its header makes no sense")
    return _Header(tensors, pairs)


class _Walk:
    """Walks over a file's header; struct.error where it is cut off, ValueError where it makes no sense."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = _HEADER.size
        self._alignment = _DEFAULT_ALIGNMENT

    def end(self, header: _Header) -> int:
        """Return the offset at which the last tensor ends."""
        for _ in range(header.pairs):
            self._skip_pair()
        end = max(self._tensor_end() for _ in range(header.tensors))
        return -(-self._at // self._alignment) * self._alignment + end

    def _number(self, form: str) -> int:
        found: int = struct.unpack_from(form, self._data, self._at)[0]
        self._at += struct.calcsize(form)
        return found

    def _string(self) -> bytes:
        length = self._number("<Q")
        self._at += length
        return self._data[self._at - length : self._at]

    def _skip_pair(self) -> None:
        key, kind = self._string(), self._number("<I")
        if key == _ALIGNMENT_KEY and kind == _UINT32:
            self._alignment = self._number("<I") or _DEFAULT_ALIGNMENT
        elif kind == _STRING:
            self._string()
        elif kind == _ARRAY:
            self._skip_array()
        else:
            self._at += _value_bytes(kind)

    def _skip_array(self) -> None:
        kind, count = self._number("<I"), self._number("<Q")
        if kind != _STRING:
            self._at += _value_bytes(kind) * count
            return
        if count > _MAX_STRINGS:
            raise ValueError("too many strings")
        unpack, data, at = struct.Struct("<Q").unpack_from, self._data, self._at  # the one loop that is long
        for _ in range(count):
            at += 8 + unpack(data, at)[0]
        self._at = at

    def _tensor_end(self) -> int:
        self._string()
        dimensions = self._number("<I")
        if dimensions > _MAX_DIMENSIONS:
            raise ValueError("too many dimensions")
        weights = prod(self._number("<Q") for _ in range(dimensions))
        # A type newer than this table counts one byte; llama.cpp checks the rest, or does not know it either.
        block, size = _BLOCKS.get(self._number("<I"), (max(weights, 1), 1))
        return self._number("<Q") + weights // block * size


def _value_bytes(kind: int) -> int:
    if kind not in _VALUE_BYTES:
        raise ValueError("no such type")  # an array of arrays, too, which llama.cpp does not read either
    return _VALUE_BYTES[kind]


def _unreadable(path: Path, error: OSError) -> OcgError:
    return OcgError(Code.MODEL_MISSING, f"the model {path} cannot be read: {error.strerror}", "see `ocg models list`")


def _damaged(path: Path, why: str) -> OcgError:
    return OcgError(Code.MODEL_DAMAGED, f"the model {path} is damaged: {why}", "fetch it anew: see `ocg models --help`")
