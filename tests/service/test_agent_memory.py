"""ocg-agent beside the real ocg-embedding: memories by word and by meaning, and the local model."""

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ocg.protocol import address
from tests.asking import ask
from tests.processes import Process, running
from tests.provider import ScriptedProvider, calls, provider, says
from tests.service.agent import Agent, agent


@contextmanager
def _embedding(folder: Path, env: dict[str, str]) -> Iterator[Process]:
    (folder / "ocg.embedding.notify").unlink(missing_ok=True)
    with running(folder, "ocg.embedding", env) as process:
        yield process


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Agent, ScriptedProvider]]:
    """An agent with a scripted model and the real embedding service."""
    from tests.conftest import MODELS

    folder = tmp_path_factory.mktemp("memory")
    (folder / "data").mkdir()
    (folder / "data" / "models").symlink_to(MODELS)
    env = {
        "OCG_DATA_DIR": str(folder / "data"),
        "OCG_PID_DIR": str(folder / "pids"),
        "OCG_AGENT_SOCK": str(folder / "agent.sock"),
        "PYTHONPATH": str(Path(__file__).parent.parent.parent),
    }
    with provider(says("ok")) as model, _embedding(folder, env), agent(folder, env | model.env) as found:
        for text in ("The user's cat is called Tom.", "The user works as a gardener.", "用户喜欢喝绿茶", "x " * 4000):
            assert found.ask("POST", "/v1/memories", {"text": text})[0] == 200
        _wait_for(lambda: _pending(found) == 0)
        yield found, model


class TestRecall:
    """What is found, and what reaches the model."""

    def test_it_is_found_by_meaning_and_by_word(self, pair: tuple[Agent, ScriptedProvider]) -> None:
        assert _search(pair[0], "pet names")[0] == "The user's cat is called Tom."
        assert _search(pair[0], "Tom")[0] == "The user's cat is called Tom."
        assert _search(pair[0], "occupation of the person")[0] == "The user works as a gardener."
        assert _search(pair[0], "绿茶")[0] == "用户喜欢喝绿茶"

    def test_a_turn_sees_what_belongs_to_it_and_nothing_else(self, pair: tuple[Agent, ScriptedProvider]) -> None:
        found, model = pair
        model.play(says("Tom"))
        found.say("What is the name of my cat?")
        system = model.asked[-1]["messages"][0]["content"]
        assert "- The user's cat is called Tom." in system
        assert "not instructions" in system
        assert "绿茶" not in system
        found.say("How do compilers allocate registers?")
        assert "Notes about the user" not in model.asked[-1]["messages"][0]["content"]
        model.forget()

    def test_a_strangers_turn_sees_none_of_them(self, pair: tuple[Agent, ScriptedProvider]) -> None:
        found, model = pair
        found.turn("What is the name of my cat?", is_stranger=True)
        assert "Tom" not in str(model.asked[-1])
        model.forget()

    def test_the_model_stores_and_searches_by_its_tools(self, pair: tuple[Agent, ScriptedProvider]) -> None:
        found, model = pair
        model.play(
            calls("memory_store", '{"text": "The user was born in Oslo."}'),
            calls("memory_search", '{"query": "Where was the user born?", "limit": 2}'),
            says("Oslo"),
        )
        events = found.turn("Remember it, then look it up.")
        results = [event["content"] for event in events if event["type"] == "tool.result"]
        assert results[0] == "remembered"
        assert results[1].splitlines()[0].startswith("- The user was born in Oslo. (fact, 20")
        (kept,) = (one for one in found.ask("GET", "/v1/memories")[1]["memories"] if "Oslo" in one["text"])
        assert kept["source"] == "model"
        model.forget()

    def test_the_same_text_is_one_memory_and_a_deleted_one_is_gone(self, pair: tuple[Agent, ScriptedProvider]) -> None:
        found, _ = pair
        one, two = (found.ask("POST", "/v1/memories", {"text": "A passing thought."})[1] for _ in range(2))
        assert one["id"] == two["id"]
        _wait_for(lambda: _pending(found) == 0)
        assert found.ask("DELETE", f"/v1/memories/{one['id']}") == (200, {"count": 1})
        assert "A passing thought." not in _search(found, "A passing thought.")
        _wait_for(lambda: _pending(found) == 0)


class TestEmbeddingAway:
    """While ocg-embedding is away."""

    def test_recall_by_words_goes_on_and_vectors_catch_up(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(says("ok")) as model, agent(tmp_path, env | model.env) as found:
            with _embedding(tmp_path, env) as embedding:
                found.ask("POST", "/v1/memories", {"text": "The user plays the violin."})
                _wait_for(lambda: _pending(found) == 0)
                embedding.stop(signal.SIGKILL)
            found.ask("POST", "/v1/memories", {"text": "The user's sister lives in Lisbon."})
            assert _search(found, "violin") == ["The user plays the violin."]
            assert _search(found, "musical instrument") == []
            found.say("Where does my sister live, in Lisbon?")
            assert "lives in Lisbon" in model.asked[-1]["messages"][0]["content"]
            assert _pending(found) == 1
            with _embedding(tmp_path, env):
                _wait_for(lambda: _pending(found) == 0, 15)
                assert _search(found, "where family is")[0] == "The user's sister lives in Lisbon."
                where = address.find(Path(env["OCG_PID_DIR"]))
                body = {"text": "instrument", "top_k": 9}
                assert len(ask(f"{where.url}/collections/memories/search", body, token=where.token)[1]["hits"]) == 2


class TestLocalModel:
    """The real local chat model, through ocg-embedding."""

    def test_it_answers_shortly_and_to_the_point(self, tmp_path: Path, env: dict[str, str]) -> None:
        with _embedding(tmp_path, env), agent(tmp_path, env) as found:
            events = found.turn("What is the capital of France?", session_id="s")
            assert events[-1]["type"] == "turn.completed", events[-1]
            assert "Paris" in events[-1]["text"]
            assert events[-1]["usage"]["prompt_tokens"] < 100
            assert len(events) > 3
            assert found.ask("GET", "/health")[1]["details"]["model"] == "smollm2-135m"

    def test_a_long_conversation_is_cut_so_that_the_answer_begins_soon(
        self, tmp_path: Path, env: dict[str, str]
    ) -> None:
        with provider(says("ok")) as model, agent(tmp_path, env | model.env) as found:
            for _ in range(8):
                found.say("你好世界" * 200, session_id="long")
            found.process.stop()
        with (
            _embedding(tmp_path, env),
            agent(tmp_path, env) as found,
            found.opened("Say yes.", session_id="long") as stream,
        ):
            began, started = time.monotonic(), stream.until("turn.started")
            stream.until("text.delta")
            assert time.monotonic() - began < 20
            found.ask("POST", f"/v1/turns/{started['turn_id']}/cancel")
            assert stream.rest()[-1]["code"] == "cancelled"

    def test_both_killed_in_the_middle_of_an_answer_finish_it_when_back(
        self, tmp_path: Path, env: dict[str, str]
    ) -> None:
        with (
            _embedding(tmp_path, env) as embedding,
            agent(tmp_path, env) as found,
            found.opened("Name a planet.", message_id="m") as stream,
        ):
            stream.until("text.delta")
            found.kill()
            embedding.stop(signal.SIGKILL)
        with agent(tmp_path, env) as found, found.opened("Name a planet.", message_id="m") as stream:
            stream.until("turn.started")  # the agent is back first
            with _embedding(tmp_path, env):
                assert stream.rest()[-1]["type"] == "turn.completed"


class TestLongConversation:
    """More than sixty messages with the real local model, of which each answer is ended after a few words."""

    @pytest.mark.timeout(300)
    def test_it_survives_summing_up_and_a_kill(self, tmp_path: Path, env: dict[str, str]) -> None:
        said = ["My name is Ada and I live in Oslo.", *(f"Tell me about the number {at}." for at in range(30))]
        with _embedding(tmp_path, env):
            with agent(tmp_path, env) as found:
                for text in said[:16]:
                    _begin(found, text)
                found.kill()
            with agent(tmp_path, env) as found:
                for text in said[16:]:
                    _begin(found, text)
                kept = found.transcript("long")
                assert [text for role, text in kept if role == "user"] == said
                assert len(kept) >= 60
                assert "My name is Ada and I live in Oslo." in _summary(tmp_path)
                status = found.say("/status", session_id="long")
                assert "tokens are estimated" not in found.process.log
        assert "Model: smollm2-135m (the local model)" in status
        assert int(status.split("Context: ")[1].split(" of 512 tokens")[0]) < 384
        assert "Compactions: 0" not in status


def _begin(found: Agent, text: str) -> None:
    """Have a turn that is ended as soon as the model has begun to answer, or by itself."""
    with found.opened(text, session_id="long") as stream:
        turn_id = stream.until("turn.started")["turn_id"]
        stream.until("text.delta")
        found.ask("POST", f"/v1/turns/{turn_id}/cancel")
        stream.rest()


def _summary(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "data" / "agent.db")) as database:
        return str(database.execute("SELECT summary FROM compactions ORDER BY watermark DESC").fetchone()[0])


def _search(found: Agent, query: str) -> list[str]:
    status, answer = found.ask("GET", f"/v1/memories?q={quote(query)}")
    assert status == 200, answer
    return [one["text"] for one in answer["memories"]]


def _pending(found: Agent) -> int:
    return int(found.ask("GET", "/health")[1]["details"]["vectors_pending"])


def _wait_for(condition: Any, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
