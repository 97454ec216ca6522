"""`ocg memory` over a running agent: what a user types, what comes out, and what an import does with bad lines."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.service.agent import Agent, agent
from tests.service.memory import embedding, listed, pending, remember, search, wait_for

Done = subprocess.CompletedProcess[str]


class Cli:
    """The command line against one agent."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env | {"OCG_MANAGER": "direct"}

    def __call__(self, *arguments: str, given: str | bytes = "", status: int = 0) -> Done:
        command = [sys.executable, "-m", "ocg.cli", "memory", "--manager", "direct", *arguments]
        data = given if isinstance(given, bytes) else given.encode()
        done = subprocess.run(command, env=self.env, input=data, capture_output=True, check=False, timeout=60)
        found = Done(command, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert found.returncode == status, found.stderr
        return found


@pytest.fixture
def found(tmp_path: Path, env: dict[str, str]) -> Iterator[Agent]:
    """An agent without ocg-embedding."""
    with agent(tmp_path, env) as running:
        yield running


@pytest.fixture
def memory(found: Agent, env: dict[str, str]) -> Cli:
    """The command line against it."""
    return Cli(env)


def _lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_what_is_added_is_found_listed_and_removed(memory: Cli, found: Agent) -> None:
    done = memory("add", "The user", "plays the cello.", "--kind", "note", "--tag", "music", "--importance", "0.9")
    (one,) = listed(found)
    assert done.stdout.strip() == one["id"]
    assert (one["text"], one["kind"], one["source"]) == ("The user plays the cello.", "note", "user")
    assert (one["tags"], one["importance"]) == (["music"], 0.9)
    memory("add", "The user is left-handed.")
    assert [each["text"] for each in _lines(memory("search", "cello", "--json").stdout)] == [
        "The user plays the cello."
    ]
    shown = memory("list").stdout.splitlines()
    assert len(shown) == 2
    assert shown[1].startswith(f"{one['id'][:8]}  The user plays the cello.  ")
    assert "#music" in shown[1]
    memory("rm", one["id"][:8])
    assert [each["text"] for each in _lines(memory("list", "--json").stdout)] == ["The user is left-handed."]
    assert "no memory 'nonsense'" in memory("rm", "nonsense", status=1).stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("add", ""), "text"),
        (("add", "x" * 9000), "text"),
        (("add", "x", "--importance", "7"), "importance"),
        (("add", "x", "--kind", "k" * 99), "kind"),
        (("list", "--limit", "0"), "--limit 0 does not fit"),
    ],
    ids=["empty", "long", "importance", "kind", "limit"],
)
def test_what_does_not_fit_is_named(memory: Cli, found: Agent, arguments: tuple[str, ...], why: str) -> None:
    done = memory(*arguments, status=1)
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert listed(found) == []


def test_an_export_is_imported_elsewhere_exactly(
    memory: Cli, found: Agent, tmp_path: Path, env: dict[str, str]
) -> None:
    for number in range(1203):  # more than two pages
        record = {
            "text": f"Fact {number}. 中文 \u2028\"'",
            "created_at": number + 0.1,
            "tags": ["a", "b"],
            "importance": 1 / 3,
        }
        assert found.ask("POST", "/v1/memories/import", {"memories": [record | {"id": f"m{number}"}]})[0] == 200
    file = tmp_path / "all.jsonl"
    memory("export", str(file))
    written = file.read_text()
    assert written.count("\n") == 1203
    assert "file exists" in memory("export", str(file), status=1).stderr.lower()
    found.process.stop()
    (tmp_path / "other").mkdir()
    with agent(tmp_path, env | {"OCG_DATA_DIR": str(tmp_path / "other")}):
        assert "1203 added" in memory("import", str(file)).stderr
        assert memory("export").stdout == written
        assert "0 added, 0 updated, 1203 unchanged" in memory("import", given=written).stderr
        assert memory("export").stdout == written


BAD = [
    (b'{"text": ""}', "text"),
    (b'{"txt": "x"}', "txt"),
    (b"nonsense", "not JSON"),
    (b'{"text": "x", "importance": 2}', "importance"),
    (b'{"text": "x", "source": "file:home.md"}', "source"),
    (b'{"text": "\xff"}', "not JSON"),
    (b'{"text": "\\ud800"}', "not JSON"),
    (b'{"text": "a\\u0000b"}', "text"),
    (b'{"text": "' + b"x" * 200_000 + b'"}', "longer than 128 KiB"),
    (b"[" * 100_000, "does not fit"),
]


@pytest.mark.parametrize(("bad", "why"), BAD, ids=range(len(BAD)))
def test_a_bad_line_is_named_and_nothing_before_it_is_lost(memory: Cli, found: Agent, bad: bytes, why: str) -> None:
    good = b"".join(b'{"text": "Fact %d."}\n' % number for number in range(600))
    done = memory("import", given=good + b"\n" + bad + b'\n{"text": "After it."}\n', status=1)
    assert "line 602: " in done.stderr
    assert why in done.stderr
    assert len(listed(found)) == 600
    assert search(found, "after") == []


def test_proposals_are_accepted_by_the_beginning_of_their_id(memory: Cli, found: Agent, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "data" / "agent.db")) as db:
        sql = "INSERT INTO memories (id, text, kind, created_at, state) VALUES (?, ?, 'fact', 1, 'proposed')"
        db.executemany(sql, [("aaaaaaaaaaaa1", "One."), ("aaaaaaaaaaaa2", "Two."), ("bbbbbbbbbbbb", "Three.")])
        db.commit()
    assert len(memory("proposed").stdout.splitlines()) == 3
    assert "2 ids begin with 'aaaa'" in memory("accept", "aaaa", status=1).stderr
    assert "1 remembered" in memory("accept", "bbbb").stdout
    assert [one["text"] for one in listed(found)] == ["Three."]
    memory("rm", "aaaaaaaaaaaa1")
    assert [one["text"] for one in _lines(memory("proposed", "--json").stdout)] == ["Two."]


def test_without_an_agent_it_says_what_to_do(tmp_path: Path, env: dict[str, str]) -> None:
    done = Cli(env)("list", status=69)
    assert "ocg-agent is not running" in done.stderr
    assert "ocg start" in done.stderr


def test_a_closed_pipe_ends_an_export_quietly(memory: Cli, found: Agent) -> None:
    for at in range(4):
        records = [{"text": f"Fact {at} {n} " + "x" * 1000} for n in range(500)]
        assert found.ask("POST", "/v1/memories/import", {"memories": records})[0] == 200
    command = f"{sys.executable} -m ocg.cli memory --manager direct export | head -1"
    done = subprocess.run(["sh", "-c", command], env=memory.env, capture_output=True, check=False, timeout=60)
    assert done.stdout.startswith(b'{"id":')
    assert done.stderr == b""


class TestHostile:
    """Bodies that the agent must refuse, or keep as they are."""

    @pytest.mark.parametrize(
        "body",
        [
            b'{"text": "a\\u0000b"}',
            b'{"text": "\\ud800"}',
            b'{"text": "\xed\xa0\x80"}',
            b'{"text": "x", "tags": ["\\u0000"]}',
            b'{"text": "x", "tags": [' + b'"t",' * 20 + b'"t"]}',
            b'{"text": "x", "importance": NaN}',
            b'{"text": "x", "source": "file:etc/passwd"}',
            b'{"text": 7}',
            os.urandom(100),
        ],
    )
    def test_it_is_refused(self, found: Agent, body: bytes) -> None:
        status, answer = found.ask("POST", "/v1/memories", body)
        assert (status, answer["error"]["code"]) == (400, "invalid_request")

    def test_10_mb_are_refused_and_the_agent_serves_on(self, found: Agent) -> None:
        assert found.ask("POST", "/v1/memories", b'{"text": "' + b"x" * (10 << 20) + b'"}')[0] == 413
        status, _ = found.ask("POST", "/v1/memories/import", {"memories": [{"text": "x"}] * 501})
        assert status == 400
        assert found.ask("GET", "/v1/memories/export?after=-1")[0] == 400
        assert found.ask("GET", f"/v1/memories/export?after={'9' * 30}")[0] == 400
        assert listed(found) == []

    def test_syntax_in_a_memory_and_a_query_is_only_text(self, tmp_path: Path, env: dict[str, str]) -> None:
        with embedding(tmp_path, env), agent(tmp_path, env) as one:
            for text in (
                '" OR 1 = 1 --',
                "words : NEAR(a, b) *",
                "'); DROP TABLE memories; --",
                "\u202e\ufffe\U000e0001 x",
            ):
                assert remember(one, text)["text"] == text
                search(one, text)
            wait_for(lambda: pending(one) == 0)
            assert len(listed(one)) == 4
