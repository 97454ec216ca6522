"""NDJSON that comes slowly, in odd pieces, or not at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ocg.embedding import ndjson
from ocg.embedding.ndjson import Upload
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.protocol.vectors import CollectionRequest
from tests.vectors import NEVER, store


class _Request:
    """A body in pieces; the last one may never come."""

    def __init__(self, pieces: Sequence[bytes], *, stalls: bool = False) -> None:
        self._pieces = pieces
        self._stalls = stalls

    async def stream(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._stalls:
            await asyncio.Event().wait()


async def _taken(folder: Path, request: Any) -> int:
    async with store(folder, NEVER) as opened:
        await opened.create(CollectionRequest(name="c", model=None, dim=2))
        try:
            return await Upload(opened, "c").take(request)
        finally:
            folder.joinpath("count").write_text(str(await opened.count()))


def _body(count: int) -> bytes:
    return b"".join(json.dumps({"id": str(n), "vector": [1, n]}).encode() + b"\r\n\n" for n in range(count))


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_pieces_need_not_end_where_lines_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    body = _body(40)
    with monkeypatch.context() as patch:
        patch.setattr(ndjson, "_BATCH_BYTES", 100)
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        assert await _taken(tmp_path, _Request(pieces)) == 40


async def test_silence_ends_it_and_says_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ndjson, "_BATCH_BYTES", 100)
        patch.setattr(answers, "BODY_TIMEOUT_S", 0.05)
        with pytest.raises(OcgError) as caught:
            await _taken(tmp_path, _Request([_body(10)], stalls=True))
    assert caught.value.code is Code.TIMEOUT
    assert caught.value.message.endswith("; 10 are stored")
    assert (tmp_path / "count").read_text() == "10"
