"""ocg-embedding as a process, with its real models."""

import base64
import json
import math
import os
import signal
import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ocg.lifecycle import sockets
from ocg.protocol import address
from tests.asking import ask
from tests.conftest import MODELS
from tests.processes import Process, running

_MODULE = "ocg.embedding"


@dataclass(frozen=True)
class Service:
    """A running service and how to reach it."""

    process: Process
    where: address.Address
    pids: Path

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        return ask(self.where.url + path, body, token=self.where.token)

    def search(self, collection: str = "default", **request: Any) -> list[str]:
        status, found = self.ask(f"/collections/{collection}/search", request)
        assert status == 200, found
        return [hit["id"] for hit in found["hits"]]


def _environment(folder: Path) -> dict[str, str]:
    data = folder / "data"
    data.mkdir()
    (data / "models").symlink_to(MODELS)
    return {
        "PATH": os.environ["PATH"],
        "OCG_DATA_DIR": str(data),
        "OCG_PID_DIR": str(folder / "pids"),
        "OCG_UI_TOKEN": "ui-token",
        "PYTHONPATH": str(Path(__file__).parent.parent.parent),
    }


def _service(process: Process, env: dict[str, str]) -> Service:
    pids = Path(env["OCG_PID_DIR"])
    return Service(process, address.find(pids), pids)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests that do it no harm."""
    folder = tmp_path_factory.mktemp("embedding")
    env = _environment(folder)
    with running(folder, _MODULE, env) as process:
        yield _service(process, env)


@pytest.fixture
def own(tmp_path: Path) -> dict[str, str]:
    """An environment for a service of the test's own."""
    return _environment(tmp_path)


def _cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _embed(service: Service, *texts: str) -> list[list[float]]:
    status, found = service.ask("/v1/embeddings", {"input": list(texts)})
    assert status == 200, found
    return [item["embedding"] for item in found["data"]]


class TestEmbeddings:
    """POST /v1/embeddings and /embed."""

    def test_two_likes_are_as_near_as_the_original_model_has_them(self, shared: Service) -> None:
        one, other = _embed(shared, "The new movie is awesome", "The new movie is so great")
        assert _cosine(one, other) == pytest.approx(0.89, abs=0.01)
        assert math.isclose(_cosine(one, one), 1.0, abs_tol=1e-5)

    def test_base64_is_the_same_numbers_as_float32(self, shared: Service) -> None:
        (floats,) = _embed(shared, "hello")
        _, found = shared.ask("/v1/embeddings", {"input": "hello", "encoding_format": "base64"})
        packed = base64.b64decode(found["data"][0]["embedding"])
        assert struct.unpack(f"<{len(floats)}f", packed) == pytest.approx(floats, abs=1e-6)
        assert found["usage"] == {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}

    def test_the_originals_own_shape_answers_too(self, shared: Service) -> None:
        status, found = shared.ask("/embed", {"text": "hello"})
        assert (status, found["dim"], len(found["embedding"])) == (200, 384, 384)

    @pytest.mark.parametrize("text", ["中文测试", "😀👩‍👩‍👧", "a\0b", "x" * 1000, "naïve café"])
    def test_texts_of_all_kinds_are_embedded(self, shared: Service, text: str) -> None:
        (vector,) = _embed(shared, text)
        assert math.isclose(_cosine(vector, vector), 1.0, abs_tol=1e-5)

    @pytest.mark.parametrize(
        ("body", "status", "code", "says"),
        [
            ({"input": ""}, 400, "invalid_request", "empty"),
            ({"input": []}, 400, "invalid_request", "input"),
            ({"input": [1]}, 400, "invalid_request", "input"),
            ({"input": ["a"] * 10_001}, 400, "invalid_request", "input"),
            ({"input": "word " * 1000}, 400, "context_length_exceeded", "1002 tokens, minilm takes 512"),
            ({"input": "a", "model": "gpt-9"}, 404, "model_unknown", "gpt-9"),
            ({"input": "a", "encoding_format": "hex"}, 400, "invalid_request", "encoding_format"),
            (b"{not json", 400, "invalid_request", "JSON"),
            (b'{"input": "\\ud800"}', 400, "invalid_request", ""),
            (b'"' + b"x" * (17 << 20) + b'"', 413, "too_large", "16384 KiB"),
        ],
    )
    def test_what_does_not_fit_is_refused_with_the_reason(
        self, shared: Service, body: Any, status: int, code: str, says: str
    ) -> None:
        got, found = shared.ask("/v1/embeddings", body)
        assert (got, found["error"]["code"]) == (status, code)
        assert says in found["error"]["message"]
        assert found["error"]["hint"]


class TestAccess:
    """Other users and web pages reach 127.0.0.1 too."""

    def test_only_health_is_open(self, shared: Service) -> None:
        assert ask(f"{shared.where.url}/health")[0] == 200
        for path in ("/v1/models", "/collections", "/v1/embeddings", "/v1/chat/completions", "/nowhere"):
            assert ask(shared.where.url + path)[0] == 401

    def test_the_ui_token_opens_it_and_a_wrong_one_does_not(self, shared: Service) -> None:
        assert ask(f"{shared.where.url}/v1/models", token="ui-token")[0] == 200
        assert ask(f"{shared.where.url}/v1/models", token="ui-tokex")[0] == 401

    def test_a_foreign_host_name_is_refused(self, shared: Service) -> None:
        status, found = ask(f"{shared.where.url}/health", headers={"Host": "evil.example"})
        assert (status, found["error"]["code"]) == (403, "forbidden")

    def test_the_address_is_its_owners_alone_and_goes_with_the_service(
        self, own: dict[str, str], tmp_path: Path
    ) -> None:
        with running(tmp_path, _MODULE, own) as process:
            file = tmp_path / "pids" / "embedding.json"
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert process.stop() == 0
            assert not file.exists()
            assert process.notifications[0].startswith("STATUS=Loading minilm")


class TestVectors:
    """Vectors, whose truth is on disk."""

    def test_what_was_put_is_found_by_text_and_by_vector(self, shared: Service) -> None:
        items = [{"id": "猫", "text": "a cat sleeps"}, {"id": "c", "text": "compilers emit code"}]
        assert shared.ask("/collections/near/upsert", {"items": items}) == (200, {"count": 2})
        assert shared.search(collection="near", text="kitten", top_k=1) == ["猫"]
        (vector,) = _embed(shared, "compiler")
        assert shared.search(collection="near", vector=vector, top_k=1) == ["c"]

    def test_an_upsert_replaces_and_the_last_of_an_id_counts(self, shared: Service) -> None:
        twice = [{"id": "x", "text": "apples"}, {"id": "x", "text": "the moon landing", "metadata": {"n": 2}}]
        shared.ask("/collections/twice/upsert", {"items": twice})
        _, found = shared.ask("/collections/twice/search", {"text": "space flight"})
        assert [(hit["id"], hit["metadata"]) for hit in found["hits"]] == [("x", {"n": 2})]

    def test_a_filter_that_lets_few_through_still_finds_them_all(self, shared: Service) -> None:
        unit = [[1.0 if at == n % 384 else 0.001 for at in range(384)] for n in range(500)]
        items = [
            {"id": str(n), "vector": vector, "metadata": {"rare": n % 100 == 7, "n": n}}
            for n, vector in enumerate(unit)
        ]
        shared.ask("/collections/filter/upsert", {"items": items})
        found = shared.search(collection="filter", vector=unit[0], top_k=5, filter={"rare": True})
        assert sorted(found) == ["107", "207", "307", "407", "7"]
        assert shared.search(collection="filter", vector=unit[0], top_k=5, filter={"n": 3}) == ["3"]
        assert shared.search(collection="filter", vector=unit[0], filter={"no": "such"}) == []

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("search", {"text": "a", "vector": [1.0]}),
            ("search", {}),
            ("search", {"vector": [1.0, 2.0]}),
            ("search", {"vector": [0.0] * 384}),
            ("search", {"text": "a", "top_k": 0}),
            ("upsert", {"items": [{"id": "a"}]}),
            ("upsert", {"items": [{"id": "", "text": "a"}]}),
            ("upsert", {"items": [{"id": "a", "text": "b", "metadata": {"nested": {}}}]}),
        ],
    )
    def test_what_does_not_fit_is_refused(self, shared: Service, path: str, body: Any) -> None:
        shared.ask("/collections", {"name": "default"})
        status, found = shared.ask(f"/collections/default/{path}", body)
        assert (status, found["error"]["code"]) == (400, "invalid_request")

    def test_what_was_acknowledged_survives_sigkill_and_what_was_deleted_stays_so(
        self, own: dict[str, str], tmp_path: Path
    ) -> None:
        with running(tmp_path, _MODULE, own) as process:
            service = _service(process, own)
            items = [{"id": f"t{n}", "text": f"number {n}"} for n in range(20)]
            service.ask("/collections/default/upsert", {"items": items})
            assert service.ask("/collections/default/delete", {"ids": ["t3", "t4", "unknown"]}) == (200, {"count": 2})
            process.stop(signal.SIGKILL)
        (tmp_path / f"{_MODULE}.notify").unlink()
        with running(tmp_path, _MODULE, own) as process:
            found = _service(process, own).search(text="number", top_k=100)
            assert set(found) == {f"t{n}" for n in range(20)} - {"t3", "t4"}

    def test_a_collection_of_another_model_takes_no_vectors_and_says_why(
        self, own: dict[str, str], tmp_path: Path
    ) -> None:
        with running(tmp_path, _MODULE, own) as process:
            _service(process, own).ask("/collections/default/upsert", {"items": [{"id": "a", "text": "b"}]})
            process.stop()
        (tmp_path / f"{_MODULE}.notify").unlink()
        (tmp_path / "other.gguf").symlink_to(MODELS / "minilm.gguf")
        with running(tmp_path, _MODULE, own | {"EMBEDDING_MODEL_PATH": str(tmp_path / "other.gguf")}) as process:
            status, found = _service(process, own).ask("/collections/default/search", {"text": "b"})
        assert (status, found["error"]["code"]) == (409, "conflict")
        assert "made with minilm (384 dimensions)" in found["error"]["message"]


@contextmanager
def _streaming(where: address.Address, *, max_tokens: int) -> Iterator[socket.socket]:
    """A connection on which a long answer has begun to come."""
    asked = {"messages": [{"role": "user", "content": "Write a long story."}], "stream": True, "max_tokens": max_tokens}
    data = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {where.token}\r\n"
    with socket.create_connection(("127.0.0.1", int(where.url.rsplit(":", 1)[1]))) as connection:
        connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        while b'"content":"' not in connection.recv(65536):
            pass
        yield connection


class TestChat:
    """The local chat model."""

    ASK: ClassVar[dict[str, Any]] = {
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "What is the capital of France?"},
        ],
        "temperature": 0,
        "max_tokens": 50,
    }

    def test_it_answers(self, shared: Service) -> None:
        status, found = shared.ask("/v1/chat/completions", self.ASK)
        assert status == 200
        assert "Paris" in found["choices"][0]["message"]["content"]
        assert found["choices"][0]["finish_reason"] == "stop"
        assert found["usage"]["prompt_tokens"] > 10

    def test_it_streams_the_same_and_ends_with_usage(self, shared: Service) -> None:
        options = {"stream": True, "stream_options": {"include_usage": True}}
        _, text = shared.ask("/v1/chat/completions", self.ASK | options)
        *events, done = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        chunks = [json.loads(event) for event in events]
        said = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
        _, whole = shared.ask("/v1/chat/completions", self.ASK)
        assert said == whole["choices"][0]["message"]["content"]
        assert chunks[-1]["usage"] == whole["usage"]
        assert done == "[DONE]"

    def test_max_tokens_and_stop_end_it(self, shared: Service) -> None:
        _, short = shared.ask("/v1/chat/completions", self.ASK | {"max_tokens": 3})
        assert short["choices"][0]["finish_reason"] == "length"
        assert short["usage"]["completion_tokens"] == 3
        _, stopped = shared.ask("/v1/chat/completions", self.ASK | {"stop": "France"})
        assert "France" not in stopped["choices"][0]["message"]["content"]
        assert stopped["choices"][0]["finish_reason"] == "stop"

    @pytest.mark.parametrize(
        ("body", "status", "says"),
        [
            ({"messages": []}, 400, "messages"),
            ({"messages": [{"role": "robot", "content": "x"}]}, 400, "role"),
            ({"messages": [{"role": "user", "content": "word " * 9000}]}, 400, "takes 8192"),
            ({"messages": [{"role": "user", "content": "x"}], "model": "gpt-9"}, 404, "gpt-9"),
            ({"messages": [{"role": "user", "content": "x"}], "temperature": 9}, 400, "temperature"),
            ({"messages": [{"role": "user", "content": "x"}], "stop": [""], "stream": True}, 400, "stop"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, shared: Service, body: Any, status: int, says: str) -> None:
        got, found = shared.ask("/v1/chat/completions", body)
        assert got == status
        assert says in found["error"]["message"]

    def test_a_client_that_goes_away_ends_its_generation(self, shared: Service) -> None:
        with _streaming(shared.where, max_tokens=4000):
            pass
        began = time.monotonic()
        assert shared.ask("/v1/chat/completions", self.ASK)[0] == 200
        # 4,000 tokens take over a minute here; the next in line waits for one token.
        assert time.monotonic() - began < 20

    def test_it_is_unloaded_when_idle_and_comes_back(self, own: dict[str, str], tmp_path: Path) -> None:
        with running(tmp_path, _MODULE, own | {"OCG_LOCAL_MODEL_IDLE": "0.3"}) as process:
            service = _service(process, own)
            service.ask("/v1/chat/completions", self.ASK)
            deadline = time.monotonic() + 20
            while "not loaded" not in ask(f"{service.where.url}/health")[1]["details"]["chat"]:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert service.ask("/v1/chat/completions", self.ASK)[0] == 200

    def test_a_missing_chat_model_is_said_with_the_command_that_brings_it(
        self, own: dict[str, str], tmp_path: Path
    ) -> None:
        with running(tmp_path, _MODULE, own | {"OCG_LOCAL_MODEL": "qwen3-4b"}) as process:
            status, found = _service(process, own).ask("/v1/chat/completions", self.ASK)
        assert (status, found["error"]["code"]) == (503, "model_missing")
        assert "ocg models pull qwen3-4b" in found["error"]["hint"]


class TestBadDays:
    """Starts that cannot be, and stops in the middle."""

    def _status(self, folder: Path, env: dict[str, str]) -> tuple[int, str]:
        with running(folder, _MODULE, env, ready=False) as process:
            return process.wait(30), process.log

    def test_a_missing_model_ends_the_start_with_69_and_the_command(self, own: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "data" / "models").unlink()
        status, log = self._status(tmp_path, own)
        assert status == 69
        assert "ocg models pull minilm" in log
        assert "Traceback" not in log

    @pytest.mark.parametrize("damage", ["cut", "foreign", "garbled"])
    def test_a_damaged_model_ends_the_start_with_78(self, own: dict[str, str], tmp_path: Path, damage: str) -> None:
        good = (MODELS / "minilm.gguf").read_bytes()
        bad = {"cut": good[:100_000], "foreign": b"PK\3\4" + good, "garbled": good[:24] + b"\xff" * 2000 + good[2024:]}
        file = tmp_path / "model.gguf"
        file.write_bytes(bad[damage])
        status, log = self._status(tmp_path, own | {"EMBEDDING_MODEL_PATH": str(file)})
        assert status == 78, log
        assert "model.gguf" in log
        assert "Traceback" not in log

    def test_a_port_in_use_ends_the_start_with_78_and_names_the_setting(
        self, own: dict[str, str], tmp_path: Path, free_port: int
    ) -> None:
        with sockets.listen_tcp("127.0.0.1", [free_port], key="x"):
            status, log = self._status(tmp_path, own | {"EMBEDDING_SERVER_PORT": str(free_port)})
        assert status == 78
        assert "EMBEDDING_SERVER_PORT" in log

    def test_a_second_one_beside_the_first_is_refused(self, own: dict[str, str], tmp_path: Path) -> None:
        with running(tmp_path, _MODULE, own) as first:
            (tmp_path / f"{_MODULE}.notify").unlink()
            status, log = self._status(tmp_path, own)
            assert status == 78
            assert f"runs already (PID {first.popen.pid})" in log

    def test_sigterm_while_it_loads_ends_it_at_once(self, own: dict[str, str], tmp_path: Path) -> None:
        with running(tmp_path, _MODULE, own, ready=False) as process:
            deadline = time.monotonic() + 10
            while not (tmp_path / "pids" / "ocg-embedding.pid").exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert process.stop(timeout_s=5) == 0

    def test_sigterm_lets_an_answer_finish_and_sigint_cuts_it_short(self, own: dict[str, str], tmp_path: Path) -> None:
        with running(tmp_path, _MODULE, own) as process:
            service = _service(process, own)
            with _streaming(service.where, max_tokens=4000) as connection:
                process.popen.send_signal(signal.SIGTERM)
                assert connection.recv(65536)  # it goes on
                process.popen.send_signal(signal.SIGINT)
                assert process.wait(5) == 0
