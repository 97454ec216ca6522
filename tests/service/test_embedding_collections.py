"""The vector store over HTTP, and its description: each answer is what /openapi.json says."""

import base64
import json
import random
import re
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings, strategies

from ocg.embedding import app as application
from tests.asking import ask
from tests.processes import running
from tests.service.embedding import MODULE, Service, environment, serving

NAMES = ["plain", "名 前/ä?#%", "a/upsert", "../x", "line\nend\n", "😀" * 128]


# What the requests know, so that not all that is tried is ignored; and what they do not.
_KEYS = strategies.sampled_from(
    [
        "id",
        "ids",
        "items",
        "text",
        "vector",
        "metadata",
        "filter",
        "top_k",
        "min_score",
        "limit",
        "$in",
        "$gt",
        "$x",
        "",
    ]
)


class Described:
    """A service whose every answer is compared with its description."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.document = ask(f"{service.where.url}/openapi.json")[1]
        self._schemas = {"$defs": self.document["components"]["schemas"]}

    def ask(self, method: str, path: str, body: Any = None, *, template: str = "", kind: str = "") -> tuple[int, Any]:
        headers = {"Content-Type": kind} if kind else {}
        url, token = self.service.where.url + path, self.service.where.token
        status, found = ask(url, body, token=token, method=method, headers=headers)
        self._check(template or path, method, status, found)
        return status, found

    def within(self, name: str, verb: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        path = f"/collections/{quote(name, safe='')}" + (f"/{verb}" if verb.islower() else "")
        template = "/collections/{name}" + (f"/{verb}" if verb.islower() else "")
        return self.ask("POST" if verb.islower() else verb, path, body, template=template, **more)

    def _check(self, template: str, method: str, status: int, found: Any) -> None:
        responses = self.document["paths"][template][method.lower()]["responses"]
        assert str(status) in responses, (template, status, found)
        schema = json.loads(
            json.dumps(responses[str(status)]["content"]["application/json"]["schema"] | self._schemas).replace(
                "#/components/schemas/", "#/$defs/"
            )
        )
        jsonschema.Draft202012Validator(schema).validate(found)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    """One service for the tests that do it no harm."""
    folder = tmp_path_factory.mktemp("collections")
    with serving(folder, environment(folder)) as service:
        yield Described(service)


def _own(shared: Described, name: str, dim: int = 4, **more: Any) -> None:
    assert shared.ask("POST", "/collections", {"name": name, "model": None, "dim": dim} | more)[0] == 200


def _lines(*items: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(item) for item in items).encode()


class TestDescription:
    """GET /openapi.json."""

    def test_it_is_valid_and_every_reference_leads_somewhere(self, shared: Described) -> None:
        assert shared.document["openapi"] == "3.1.0"
        for schema in shared.document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
        references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(shared.document)))
        assert references <= set(shared.document["components"]["schemas"])
        for path, operations in shared.document["paths"].items():
            for operation in operations.values():
                named = {one["name"] for one in operation.get("parameters", ())}
                assert set(re.findall(r"{(\w+)}", path)) == named
                assert operation["summary"]
        identities = [one["operationId"] for each in shared.document["paths"].values() for one in each.values()]
        assert len(identities) == len(set(identities))

    def test_every_route_is_in_it_and_nothing_else(self) -> None:
        """The routes of the application, not the table that both are made from."""
        nothing: Any = None
        guarded: Any = application.create_app(
            encoder=nothing, vectors=nothing, chat=nothing, tokens=nothing, metrics=nothing, accepts=bool
        )
        routes = {
            (route.path.replace(":any", ""), method.lower())
            for route in guarded._app.routes
            for method in route.methods - {"HEAD"}
        }
        listed = application.endpoints(encoder=nothing, vectors=nothing, chat=nothing, tokens=nothing, metrics=nothing)
        described = application.describe(listed)
        assert routes == {(path, method) for path, each in described["paths"].items() for method in each}

    def test_answers_of_the_other_endpoints_fit_it(self, shared: Described) -> None:
        shared.ask("GET", "/health")
        shared.ask("GET", "/openapi.json")
        shared.ask("GET", "/v1/models")
        shared.ask("POST", "/embed", {"text": "a"})
        shared.ask("POST", "/v1/embeddings", {"input": ["a", "b"], "encoding_format": "base64"})
        assert shared.ask("POST", "/v1/embeddings", {"input": "a", "model": "none"})[0] == 404


_JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text(max_size=9),
    lambda inner: strategies.lists(inner, max_size=4) | strategies.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=8,
)


class TestAnyJson:
    """Whatever comes, the answer is one that is described, and never a bug."""

    @pytest.mark.parametrize("verb", ["upsert", "get", "delete", "search", "count"])
    @settings(
        max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(body=strategies.dictionaries(_KEYS, _JSON, max_size=4))
    def test_it_is_answered_as_described(self, shared: Described, verb: str, body: dict[str, Any]) -> None:
        _own(shared, "any")
        assert shared.within("any", verb, json.dumps(body).encode())[0] in {200, 400, 409}


class TestCollections:
    """What is done with collections."""

    @pytest.mark.parametrize("name", NAMES)
    def test_any_name_and_any_id_makes_a_whole_life(self, shared: Described, name: str) -> None:
        for _ in range(2):  # the same again is fine
            status, made = shared.ask("POST", "/collections", {"name": name, "model": None, "dim": 2, "metric": "l2"})
            assert (status, made["name"], made["metric"], made["count"]) == (200, name, "l2", 0)
        assert shared.ask("POST", "/collections", {"name": name, "model": None, "dim": 3})[0] == 409
        items = [{"id": name, "vector": [0, 1], "metadata": {"k": name}}, {"id": "2", "vector": [3, 5]}]
        assert shared.within(name, "upsert", {"items": items}) == (200, {"count": 2})
        _, found = shared.within(name, "search", {"vector": [0, 0]})
        assert [(hit["id"], hit["score"]) for hit in found["hits"]] == [(name, -1.0), ("2", pytest.approx(-(34**0.5)))]
        assert found["complete"] is True
        _, found = shared.within(name, "get", {"ids": [name, "no"], "vectors": True})
        assert found["items"] == [{"id": name, "text": None, "metadata": {"k": name}, "vector": [0.0, 1.0]}]
        assert shared.within(name, "count", {"filter": {"k": {"$ne": name}}}) == (200, {"count": 1})
        assert name in [one["name"] for one in shared.ask("GET", "/collections")[1]["collections"]]
        assert shared.within(name, "GET")[1]["count"] == 2
        assert shared.within(name, "delete", {"filter": {"k": name}}) == (200, {"count": 1})
        assert shared.within(name, "DELETE") == (200, {"count": 1})
        for verb in ("GET", "DELETE", "search", "count", "reindex"):
            body = {"vector": [0, 0]} if verb == "search" else {} if verb == "count" else None
            assert shared.within(name, verb, body)[0] == 404

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"name": "m", "model": "other"}, 404),
            ({"name": "m", "dim": 3}, 400),
            ({"name": "m", "model": None}, 400),
            ({"name": "m", "metric": "near"}, 400),
            ({"name": ""}, 400),
            ({"name": "a\0b"}, 400),
            ({"name": "a" * 129}, 400),
            (b'{"name": "\\ud800"}', 400),
            ({"name": "m", "model": None, "dim": 0}, 400),
        ],
    )
    def test_what_is_no_collection_is_refused(self, shared: Described, body: Any, status: int) -> None:
        got, found = shared.ask("POST", "/collections", body)
        assert got == status
        assert found["error"]["hint"] or found["error"]["param"]

    def test_a_text_and_its_vector_may_both_be_kept_and_hits_bring_the_text(self, shared: Described) -> None:
        item = {"id": "a", "text": "a cat", "vector": [1.0] + [0.0] * 383}
        assert shared.within("both", "upsert", {"items": [item]})[0] == 200
        _, found = shared.within("both", "search", {"vector": item["vector"]})
        assert [(hit["text"], hit["score"]) for hit in found["hits"]] == [("a cat", pytest.approx(1.0))]

    @pytest.mark.parametrize(
        "vector",
        [[1, 2], [0, 0, 0, 0], [1e39, 0, 0, 0], [1e300, 0, 0, 0], "!", "AAA=", "AACAfwAAAAAAAAAAAAAAAA==", None],
    )
    def test_what_is_no_vector_of_the_collection_is_refused(self, shared: Described, vector: Any) -> None:
        _own(shared, "four")
        assert shared.within("four", "upsert", {"items": [{"id": "a", "vector": vector}]})[0] == 400
        assert shared.within("four", "search", {"vector": vector})[0] == 400


class TestNdjson:
    """Bulk upserts, line by line."""

    def test_lines_are_kept_whatever_chunks_they_come_in(self, shared: Described) -> None:
        _own(shared, "bulk", 64)
        given = base64.b64encode(struct.pack("<64f", *range(1, 65))).decode()
        data = _lines(*({"id": str(n), "vector": given, "metadata": {"n": n}} for n in range(20_000)))
        assert len(data) > 4 << 20
        assert shared.within("bulk", "upsert", data, kind="application/x-ndjson") == (200, {"count": 20_000})
        assert shared.within("bulk", "count", {}) == (200, {"count": 20_000})
        assert len(shared.within("bulk", "search", {"vector": given, "filter": {"n": 19_999}})[1]["hits"]) == 1

    def test_an_error_names_its_line_and_what_is_kept(self, shared: Described) -> None:
        _own(shared, "wrong")
        good = [{"id": str(n), "vector": [1, 2, 3, n]} for n in range(5)]
        for bad in ({"id": "x", "vector": [1]}, {"vector": [1, 2, 3, 4]}, {"id": "x"}):
            data = _lines(*good, bad, *good)
            status, found = shared.within("wrong", "upsert", data, kind="application/x-ndjson")
            assert (status, found["error"]["param"]) == (400, "line 6")
            assert found["error"]["message"].startswith("line 6: ")
            assert found["error"]["message"].endswith("; 5 are stored")
        assert shared.within("wrong", "count", {}) == (200, {"count": 5})

    def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(self, shared: Described) -> None:
        _own(shared, "long")
        status, found = shared.within("long", "upsert", b" " * (9 << 20), kind="application/x-ndjson; charset=utf-8")
        assert (status, found["error"]["code"]) == (413, "too_large")

    def test_texts_are_embedded_and_a_client_that_goes_away_keeps_what_was_committed(self, shared: Described) -> None:
        where = shared.service.where
        _own(shared, "gone")
        line = json.dumps({"id": "a", "vector": [1, 2, 3, 4]}).encode() + b"\n"
        head = (
            "POST /collections/gone/upsert HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n"
            f"Authorization: Bearer {where.token}\r\nContent-Length: 100000\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", int(where.url.rsplit(":", 1)[1]))) as connection:
            connection.sendall(head.encode() + line)
        data = _lines(*({"id": str(n), "text": f"number {n}"} for n in range(3)))
        assert shared.within("texts", "upsert", data, kind="application/x-ndjson") == (200, {"count": 3})
        assert shared.within("texts", "search", {"text": "number 1", "top_k": 1})[1]["hits"][0]["text"] == "number 1"


def test_the_whole_service_killed_in_the_middle_of_uploads_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    env, rng, kept = environment(tmp_path), random.Random(3), set[str]()
    for number in range(10):
        (tmp_path / f"{MODULE}.notify").unlink(missing_ok=True)
        with serving(tmp_path, env) as service:
            described = Described(service)
            _own(described, "k", 8)
            _, found = described.within("k", "get", {"limit": 10_000})
            there = {item["id"] for item in found["items"]}
            assert kept <= there
            hits = described.within("k", "search", {"vector": [1] * 8, "top_k": 1000})[1]["hits"]
            assert {hit["id"] for hit in hits} == there
            kept = there
            for at in range(rng.randrange(1, 4)):
                ids = [f"{number}-{at}-{n}" for n in range(40)]
                items = [{"id": one, "vector": [rng.random() for _ in range(8)]} for one in ids]
                described.within("k", "upsert", {"items": items})
                kept |= set(ids)
                gone = rng.sample(sorted(kept), 10)
                described.within("k", "delete", {"ids": gone})
                kept -= set(gone)
            line = _lines({"id": "late", "vector": [1] * 8}) + b"\n"
            with service.waiting("/collections/k/upsert", {"items": json.loads(b"[" + line + b"]")}):
                service.process.stop(signal.SIGKILL)


def test_a_read_only_database_is_said_at_the_start(tmp_path: Path) -> None:
    env = environment(tmp_path)
    (tmp_path / "data" / "vectors.db").mkdir()
    with running(tmp_path, MODULE, env, ready=False) as process:
        assert process.wait(30) != 0
        assert "vectors.db" in process.log
        assert "Traceback" not in process.log
