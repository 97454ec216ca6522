"""The cache of embeddings: found again, of the right model, bounded, and never the reason for a failure."""

import os
from pathlib import Path

import numpy as np
import pytest

from ocg.embedding.encoder.cache import Cache, fingerprint
from ocg.embedding.encoder.texts import Embedded

_DIM = 8
_ROOM = 1 << 20


def _vector(number: int) -> Embedded:
    return Embedded(np.full(_DIM, number, np.float32), number)


async def _open(path: Path, *, model: bytes = b"model", size_bytes: int = _ROOM) -> Cache:
    return await Cache.open(path, model=model, size_bytes=size_bytes, dim=_DIM)


async def _filled(path: Path, count: int, *, size_bytes: int = _ROOM) -> None:
    for first in range(0, count, 1000):  # more at once, and the disk does not keep up
        cache = await _open(path, size_bytes=size_bytes)
        for number in range(first, min(first + 1000, count)):
            cache.keep(b"text %d" % number, _vector(number))
        await cache.close()


async def _known(cache: Cache, count: int) -> set[int]:
    """The numbers of the texts that it knows, each with its own vector."""
    found = await cache.find([b"text %d" % number for number in range(count)])
    for data, one in found.items():
        assert one.tokens == int(data.split()[1])
        assert np.array_equal(one.vector, _vector(one.tokens).vector)
    return {one.tokens for one in found.values()}


async def test_what_was_kept_is_found_at_once_and_after_a_restart(tmp_path: Path) -> None:
    cache = await _open(tmp_path / "c.db")
    cache.keep(b"text 7", _vector(7))
    assert await _known(cache, 10) == {7}
    await cache.close()
    cache = await _open(tmp_path / "c.db")
    assert await _known(cache, 10) == {7}
    await cache.close()


async def test_what_has_left_memory_is_found_on_the_disk(tmp_path: Path) -> None:
    await _filled(tmp_path / "c.db", 5000)
    cache = await _open(tmp_path / "c.db")
    assert await _known(cache, 5000) == set(range(5000))
    assert await _known(cache, 5000) == set(range(5000))
    await cache.close()


async def test_another_models_vectors_are_not_taken_for_ones_own(tmp_path: Path) -> None:
    await _filled(tmp_path / "c.db", 3)
    cache = await _open(tmp_path / "c.db", model=b"another")
    assert await _known(cache, 3) == set()
    await cache.close()


async def test_the_oldest_go_when_there_is_no_room(tmp_path: Path) -> None:
    size_bytes = 1000 * (_DIM * 4 + 64)
    await _filled(tmp_path / "c.db", 900, size_bytes=size_bytes)
    cache = await _open(tmp_path / "c.db", size_bytes=size_bytes)
    for number in range(900, 1200):
        cache.keep(b"text %d" % number, _vector(number))
    await cache.close()
    cache = await _open(tmp_path / "c.db", size_bytes=size_bytes)
    assert await _known(cache, 1200) == set(range(300, 1200))
    await cache.close()


async def test_without_room_nothing_is_kept_and_no_file_made(tmp_path: Path) -> None:
    cache = await _open(tmp_path / "c.db", size_bytes=0)
    cache.keep(b"text 1", _vector(1))
    assert await _known(cache, 2) == set()
    await cache.close()
    assert not (tmp_path / "c.db").exists()


async def test_a_damaged_file_is_thrown_away_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await _filled(tmp_path / "c.db", 3)
    (tmp_path / "c.db").write_bytes(b"no database at all " * 1000)
    cache = await _open(tmp_path / "c.db")
    assert "begins anew" in caplog.text
    cache.keep(b"text 1", _vector(1))
    await cache.close()
    cache = await _open(tmp_path / "c.db")
    assert await _known(cache, 3) == {1}
    await cache.close()


async def test_a_file_that_is_damaged_while_it_is_open_costs_time_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await _filled(tmp_path / "c.db", 3000)
    cache = await _open(tmp_path / "c.db")
    with (tmp_path / "c.db").open("r+b") as stream:
        stream.write(os.urandom(200_000))
    assert await cache.find([b"text 1"]) == {}
    assert "cannot be read" in caplog.text
    cache.keep(b"text 1", _vector(1))
    assert await _known(cache, 2) == {1}
    await cache.close()
    assert "are not cached" in caplog.text


async def test_no_text_lies_in_the_file_and_nobody_else_reads_it(tmp_path: Path) -> None:
    await _filled(tmp_path / "c.db", 3)
    assert b"text" not in (tmp_path / "c.db").read_bytes().replace(b"CREATE TABLE", b"")
    assert (tmp_path / "c.db").stat().st_mode & 0o777 == 0o600


def test_a_model_is_known_by_what_is_in_it_and_how_large_it_is(tmp_path: Path) -> None:
    one, other = tmp_path / "one.gguf", tmp_path / "other.gguf"
    one.write_bytes(b"a")
    other.write_bytes(b"b")
    os.utime(other, ns=(one.stat().st_mtime_ns,) * 2)
    assert fingerprint(one) != fingerprint(other)
