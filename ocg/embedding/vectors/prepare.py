"""Items from outside, made ready to be kept, or refused with the reason."""

import binascii
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from ocg.embedding.vectors.filters import check_key, typed
from ocg.embedding.vectors.model import Collection, Embedder, Prepared
from ocg.errors import Code, OcgError
from ocg.protocol import wire
from ocg.protocol.vectors import Given, Metric, VectorItem

if TYPE_CHECKING:
    from ocg.embedding.vectors.model import Vector


def item(given: VectorItem, collection: Collection) -> Prepared:
    """Prepare an item. Raises INVALID_REQUEST; CONFLICT for a text where the vectors come from the client."""
    if given.text is None and given.vector is None:
        raise _refused(f"item {given.id!r} has neither text nor vector", "give one of the two", "items")
    if collection.model is None and given.vector is None:
        collection.check_model("", 0)
    fields = []
    for key, value in given.metadata.items():
        check_key(key, "metadata")
        fields.append((key, *typed(key, value, "metadata")))
    made = None if given.vector is None else vector(given.vector, collection.dim, collection.metric)
    metadata = json.dumps(given.metadata, ensure_ascii=False) if given.metadata else "{}"
    return Prepared(given.id, given.text, made, metadata, tuple(fields))


def again(id_: str, text: str, metadata: str) -> Prepared:
    """Prepare what is kept to be embedded anew."""
    fields = tuple((key, *typed(key, value, "metadata")) for key, value in json.loads(metadata).items())
    return Prepared(id_, text, None, metadata, fields)


def lines(block: bytes, first: int, collection: Collection) -> list[Prepared]:
    """Prepare the items of some lines of NDJSON, of which the first has this number. An error names its line."""
    decoder = msgspec.json.Decoder(VectorItem)
    made: list[Prepared] = []
    for number, line in enumerate(block.split(b"\n"), first):
        if not line.strip():
            continue
        try:
            try:
                given = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                given = wire.decode(VectorItem, line)  # which explains it
            made.append(item(given, collection))
        except OcgError as error:
            raise LineError(number, made, error) from None
    return made


class LineError(Exception):
    """A line that cannot be kept; `before` is what came before it."""

    def __init__(self, number: int, before: Sequence[Prepared], error: OcgError) -> None:
        super().__init__(str(error))
        self.number = number
        self.before = before
        self.error = error


def vector(given: Given, dim: int, metric: Metric) -> "Vector":
    """Return a vector (shape [dim]), of length 1 for the cosine. Raises INVALID_REQUEST."""
    import numpy as np  # noqa: PLC0415 - llama_cpp has it imported

    made = np.frombuffer(_decoded(given), "<f4") if isinstance(given, str) else np.array(given, np.float64)
    if len(made) != dim:
        raise _refused(f"the vector has {len(made)} dimensions of {dim}", f"send {dim} numbers", "vector")
    with np.errstate(over="ignore", invalid="ignore"):
        squared = float(made @ made)
        if not _SAFE < squared < 1 / _SAFE:  # for 32 bits the squares may be too large or too small
            squared = float(np.square(made.astype(np.float64, copy=False)).sum())
    norm = squared**0.5
    if not norm <= _MAX_NORM:  # NaN is not, either
        raise _refused("the vector is not finite", "send finite numbers", "vector")
    if metric == "cosine":
        if norm == 0:
            raise _refused("the vector has no direction", "send numbers that are not all zero", "vector")
        made = made / norm
    return made.astype(np.float32, copy=False)


# So that scores, which are sums of squares, are finite in 32 bits.
_MAX_NORM = 1e18
_SAFE = 1e-20


async def embed(items: Sequence[Prepared], encoder: Embedder) -> list[Prepared]:
    """Embed the texts that have no vector, in one call."""
    texts = [one.text for one in items if one.vector is None and one.text is not None]
    if not texts:
        return list(items)
    made = iter(await encoder.embed(texts))
    return [replace(one, vector=next(made).vector) if one.vector is None else one for one in items]


def _decoded(given: str) -> bytes:
    try:
        data = binascii.a2b_base64(given, strict_mode=True)
    except (binascii.Error, ValueError):
        raise _refused("the vector is not base64", "send base64 of little-endian float32", "vector") from None
    if len(data) % 4:
        raise _refused(f"the vector has {len(data)} bytes", "send base64 of little-endian float32", "vector")
    return data


def _refused(message: str, hint: str, param: str) -> OcgError:
    return OcgError(Code.INVALID_REQUEST, message, hint, param=param)
