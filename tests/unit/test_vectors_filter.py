"""Filters: JSON's values are told apart, and what is no filter is refused by name."""

from pathlib import Path
from typing import Any

import pytest

from ocg.embedding.vectors import VectorStore
from ocg.errors import Code, OcgError
from ocg.protocol.vectors import CountRequest, GetRequest, Picked, VectorItem
from tests.vectors import NEVER, store

KEPT: dict[str, dict[str, Any]] = {
    "one": {"k": 1, "tag": "a"},
    "real": {"k": 1.0, "tag": "b"},
    "half": {"k": 0.5, "tag": "a"},
    "text": {"k": "1"},
    "word": {"k": "猫"},
    "true": {"k": True},
    "false": {"k": False},
    "null": {"k": None},
    "none": {"tag": "a"},
}
ALL = set(KEPT)


async def _kept(opened: VectorStore) -> None:
    await opened.upsert("c", [VectorItem(id=one, text=one, metadata=fields) for one, fields in KEPT.items()])


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"k": 1}, {"one", "real"}),
        ({"k": 1.0}, {"one", "real"}),
        ({"k": True}, {"true"}),
        ({"k": None}, {"null"}),
        ({"k": "1"}, {"text"}),
        ({"k": {"$eq": 0.5}}, {"half"}),
        ({"k": {"$ne": 1}}, ALL - {"one", "real"}),
        ({"k": {"$ne": None}}, ALL - {"null"}),
        ({"k": {"$in": [1, "猫", False]}}, {"one", "real", "word", "false"}),
        ({"k": {"$in": []}}, set()),
        ({"k": {"$gt": 0.5}}, {"one", "real"}),
        ({"k": {"$gte": 0.5, "$lt": 1}}, {"half"}),
        ({"k": {"$lte": "2"}}, {"text"}),
        ({"k": 1, "tag": "a"}, {"one"}),
        ({"tag": {"$ne": "b"}, "k": {"$in": [1, 0.5]}}, {"one", "half"}),
        ({"other": 1}, set()),
    ],
)
async def test_a_filter_lets_through_what_it_says(tmp_path: Path, wanted: Any, ids: set[str]) -> None:
    async with store(tmp_path, NEVER) as opened:
        await _kept(opened)
        assert {one.id for one in await opened.get("c", GetRequest(filter=wanted))} == ids
        assert await opened.matching("c", CountRequest(filter=wanted).filter) == len(ids)
        assert await opened.delete("c", Picked(filter=wanted)) == len(ids)
        assert {one.id for one in await opened.get("c", GetRequest())} == ALL - ids


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"k": {"$near": 1}}, "unknown operator '$near'"),
        ({"k": {}}, "no operator"),
        ({"k": {"$in": 1}}, "$in of 'k' takes a list"),
        ({"k": {"$gt": [1]}}, "$gt of 'k' takes a value"),
        ({"k": {"$gt": True}}, "$gt of 'k' takes a number or a text"),
        ({"k": 2**63}, "more than 64 bits"),
        ({"k": "a\0b"}, "NUL"),
        ({"a\0b": 1}, "NUL"),
        ({"k": float("inf")}, "not finite"),
        ({str(n): n for n in range(101)}, "101 conditions of 100"),
    ],
)
async def test_what_is_no_filter_is_refused_by_name(tmp_path: Path, wanted: Any, says: str) -> None:
    async with store(tmp_path, NEVER) as opened:
        await _kept(opened)
        with pytest.raises(OcgError) as caught:
            await opened.get("c", GetRequest(filter=wanted))
        assert caught.value.code is Code.INVALID_REQUEST
        assert says in caught.value.message


async def test_replaced_metadata_is_found_by_its_new_values_only(tmp_path: Path) -> None:
    async with store(tmp_path, NEVER) as opened:
        await _kept(opened)
        await opened.upsert("c", [VectorItem(id="one", text="one", metadata={"k": 2})])
        assert {one.id for one in await opened.get("c", GetRequest(filter={"k": 1}))} == {"real"}
        assert {one.id for one in await opened.get("c", GetRequest(filter={"k": 2}))} == {"one"}
        assert await opened.matching("c", {"tag": "a"}) == 2
        await opened.drop("c")
        assert await opened._database.read(lambda db: db.execute("SELECT count(*) FROM fields").fetchone()[0]) == 0
