"""Vectors and memories agree again after whatever happened to either: lost, another model, killed in the middle."""

import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.provider import provider, says
from tests.service.agent import agent
from tests.service.memory import agree, embedding, listed, pending, remember, search, vectors, wait_for

TEXTS = ("The user plays the violin.", "The user's sister lives in Lisbon.", "用户喜欢喝绿茶")


def _lose_vectors(data: Path) -> None:
    for path in data.glob("vectors*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("agent_restarts", [False, True])
def test_lost_vectors_are_made_anew(tmp_path: Path, env: dict[str, str], *, agent_restarts: bool) -> None:
    with embedding(tmp_path, env), agent(tmp_path, env) as found:
        for text in TEXTS:
            remember(found, text)
        wait_for(lambda: agree(found, env))
        if agent_restarts:
            found.process.stop()
    _lose_vectors(tmp_path / "data")
    with agent(tmp_path, env) as found, embedding(tmp_path, env):
        search(found, "musical instrument")  # whoever asks first notices
        wait_for(lambda: agree(found, env))
        assert search(found, "musical instrument")[0] == TEXTS[0]


def test_a_running_agent_notices_that_the_vectors_were_lost(tmp_path: Path, env: dict[str, str]) -> None:
    with agent(tmp_path, env) as found:
        with embedding(tmp_path, env):
            for text in TEXTS:
                remember(found, text)
            wait_for(lambda: agree(found, env))
        _lose_vectors(tmp_path / "data")
        with embedding(tmp_path, env):
            search(found, "violin")
            wait_for(lambda: agree(found, env))


def test_vectors_of_another_model_are_made_anew(tmp_path: Path, env: dict[str, str]) -> None:
    with embedding(tmp_path, env), agent(tmp_path, env) as found:
        for text in TEXTS:
            remember(found, text)
        wait_for(lambda: agree(found, env))
    with closing(sqlite3.connect(tmp_path / "data" / "vectors.db")) as db:  # as another model's vectors would lie there
        db.execute("UPDATE collections SET model = 'another-model'")
        db.commit()
    with embedding(tmp_path, env), agent(tmp_path, env) as found:
        wait_for(lambda: "has another model" in found.process.log)
        wait_for(lambda: agree(found, env))
        assert search(found, "musical instrument")[0] == TEXTS[0]


def test_missing_vectors_are_added_and_strange_ones_removed(tmp_path: Path, env: dict[str, str]) -> None:
    with embedding(tmp_path, env), agent(tmp_path, env) as found:
        kept = remember(found, TEXTS[0])
        wait_for(lambda: agree(found, env))
        copy = tmp_path / "agent.db"
        found.process.stop()
        shutil.copy(tmp_path / "data" / "agent.db", copy)
    with embedding(tmp_path, env), agent(tmp_path, env) as found:
        remember(found, TEXTS[1])
        wait_for(lambda: agree(found, env))
        found.process.stop()
    for path in (tmp_path / "data").glob("agent.db*"):
        path.unlink()
    shutil.copy(copy, tmp_path / "data" / "agent.db")  # a backup is put back: its vectors know more than it does
    with embedding(tmp_path, env), agent(tmp_path, env) as found:
        wait_for(lambda: list(vectors(env)) == [kept["id"]] and agree(found, env))


def test_embedding_killed_while_1000_memories_are_stored(tmp_path: Path, env: dict[str, str]) -> None:
    with agent(tmp_path, env) as found:
        with embedding(tmp_path, env) as process:
            killer = threading.Timer(1.5, lambda: process.popen.send_signal(signal.SIGKILL))
            killer.start()
            records = [{"id": f"m{n}", "text": f"The user's locker {n} holds item {n * 7}."} for n in range(1000)]
            for at in range(0, 1000, 20):
                status, done = found.ask("POST", "/v1/memories/import", {"memories": records[at : at + 20]})
                assert (status, done["added"]) == (200, 20)
                search(found, "locker")
            killer.join()
            process.wait()
        assert len(listed(found)) == 1000
        assert pending(found) > 0
        assert search(found, "locker 500")[0].startswith("The user's locker 500 ")
        with embedding(tmp_path, env):
            wait_for(lambda: agree(found, env), 60)


def test_the_vector_follows_a_memory_in_its_newest_words_and_what_looks_alike_has_its_own(
    tmp_path: Path, env: dict[str, str]
) -> None:
    with embedding(tmp_path, env), agent(tmp_path, env) as found:
        first = remember(found, "The user does not eat pork.", importance=0.9)
        again = remember(found, "The user doesn't eat pork.")
        assert (again["id"], again["text"], again["importance"]) == (first["id"], "The user doesn't eat pork.", 0.9)
        for text in ("Anna owes Ben 50.", "Ben owes Anna 50.", "用户喜欢喝绿茶。", "用户喜欢喝红茶。"):
            remember(found, text)
        assert len(listed(found)) == 5
        wait_for(lambda: agree(found, env))
        assert search(found, "swine meat")[0] == "The user doesn't eat pork."


def test_a_search_does_not_wait_for_the_vectors_of_an_import(tmp_path: Path, env: dict[str, str]) -> None:
    with embedding(tmp_path, env), agent(tmp_path, env) as found:
        remember(found, TEXTS[0])
        wait_for(lambda: agree(found, env))
        records = [{"text": f"The user's locker {n} holds item {n * 7}. " + "and so on " * 40} for n in range(500)]
        assert found.ask("POST", "/v1/memories/import", {"memories": records})[0] == 200
        began = time.monotonic()
        assert search(found, "violin")[0] == TEXTS[0]
        assert time.monotonic() - began < 2
        assert pending(found) > 100


def test_the_agent_killed_between_commit_and_delivery(tmp_path: Path, env: dict[str, str]) -> None:
    with embedding(tmp_path, env) as process:
        for round_ in range(3):
            with agent(tmp_path, env) as found:
                if round_ == 1:
                    process.popen.send_signal(signal.SIGSTOP)  # what is committed cannot be delivered
                remember(found, f"Fact number {round_}.")
                assert round_ != 1 or pending(found) > 0
                found.kill()
                process.popen.send_signal(signal.SIGCONT)
        with agent(tmp_path, env) as found:
            wait_for(lambda: agree(found, env))
            assert len(listed(found)) == 3


def test_a_recalled_memory_notes_when_it_was_used(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(says("ok")) as model, agent(tmp_path, env | model.env) as found:
        remember(found, TEXTS[0])
        assert listed(found)[0]["used_at"] is None
        found.say("Do I play the violin?")
        wait_for(lambda: listed(found)[0]["used_at"] is not None)
