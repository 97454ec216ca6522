"""ocg-agent as a process on its bad days: killed, stopped, damaged, in the way of another."""

import json
import os
import signal
import socket
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.processes import running
from tests.provider import calls, echoes, never_ends, provider, says, waits
from tests.service.agent import MODULE, agent


class TestKilled:
    """kill -9, at several moments."""

    def test_a_message_is_kept_and_answered_exactly_once(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(never_ends) as model:
            with (
                agent(tmp_path, env | model.env) as found,
                found.opened("hi", session_id="s", message_id="m") as stream,
            ):
                stream.until("text.delta")
                found.kill()
            model.play(echoes)
            with agent(tmp_path, env | model.env) as found:
                # The client asks again, twice, while the agent takes the turn up by itself.
                one, two = found.turn("hi", message_id="m"), found.turn("hi", message_id="m")
                assert one[-1]["text"] == two[-1]["text"] == "you said: hi"
                assert found.transcript("s") == [("user", "hi"), ("assistant", "you said: hi")]
                assert len(model.asked) == 2

    def test_it_is_answered_without_anybody_asking_again(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(never_ends) as model:
            with agent(tmp_path, env | model.env) as found, found.opened("hi", session_id="s") as stream:
                stream.until("turn.started")
                found.kill()
            model.play(echoes)
            with agent(tmp_path, env | model.env) as found:
                _wait_for(lambda: found.transcript("s")[-1:] == [("assistant", "you said: hi")])

    def test_a_finished_step_is_not_done_again(self, tmp_path: Path, env: dict[str, str]) -> None:
        store = calls("memory_store", '{"text": "The sky is green."}', text="Noted.")
        with provider(store, never_ends) as model:
            with agent(tmp_path, env | model.env) as found, found.opened("hi", message_id="m") as stream:
                stream.until("tool.result")
                found.kill()
            model.play(says("done"))
            with agent(tmp_path, env | model.env) as found:
                events = found.turn("hi", message_id="m")
                told = [event["type"] for event in events]
                assert told == [
                    "turn.started",
                    "text.delta",
                    "tool.call",
                    "tool.result",
                    "text.delta",
                    "turn.completed",
                ]
                assert model.asked[-1]["messages"][-1]["content"] == "remembered"
                assert len(found.ask("GET", "/v1/memories")[1]["memories"]) == 1

    def test_what_waited_is_answered_in_order_before_anything_newer(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(never_ends) as model:
            with (
                agent(tmp_path, env | model.env) as found,
                found.opened("one", session_id="s") as first,
                found.opened("two", session_id="s") as second,
            ):
                first.until("text.delta")
                second.until("turn.started")
                found.kill()
            model.play(echoes)
            with agent(tmp_path, env | model.env) as found:
                assert found.say("three", session_id="s") == "you said: three"
                said = [text for role, text in found.transcript("s") if role == "user"]
                assert said == ["one", "two", "three"]

    def test_twenty_kills_at_any_moment_lose_nothing_and_double_nothing(
        self, tmp_path: Path, env: dict[str, str]
    ) -> None:
        def script(exchange: Any) -> None:
            last = exchange.body["messages"][-1]
            time.sleep(0.01)
            (echoes if last["role"] == "tool" else calls("time", "{}"))(exchange)

        with provider(script) as model:
            for at in range(20):
                with (
                    agent(tmp_path, env | model.env) as found,
                    found.opened(f"m{at}", session_id=f"s{at % 3}", message_id=f"m{at}") as stream,
                ):
                    stream.until("turn.started")
                    time.sleep(at * 0.004)
                    found.kill()
            with agent(tmp_path, env | model.env) as found:
                for at in range(20):
                    assert found.say(f"m{at}", message_id=f"m{at}") == f"you said: m{at}"
                for session in range(3):
                    entries = found.transcript(f"s{session}")
                    asked = [text for role, text in entries if role == "user"]
                    answered = [text for role, text in entries if role == "assistant" and text]
                    assert asked == [f"m{at}" for at in range(session, 20, 3)]
                    assert answered == [f"you said: m{at}" for at in range(session, 20, 3)]

    def test_a_memory_survives(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(says("x")) as model:
            with agent(tmp_path, env | model.env) as found:
                assert found.ask("POST", "/v1/memories", {"text": "用户喜欢喝绿茶"})[0] == 200
                found.kill()
            with agent(tmp_path, env | model.env) as found:
                (memory,) = found.ask("GET", "/v1/memories?q=%E7%BB%BF%E8%8C%B6")[1]["memories"]
                assert (memory["text"], memory["score"]) == ("用户喜欢喝绿茶", 1.0)
                assert found.ask("GET", "/health")[1]["details"]["vectors_pending"] == 1


class TestStopped:
    """SIGTERM, which gives what runs three seconds."""

    def test_a_turn_that_ends_in_time_is_whole(self, tmp_path: Path, env: dict[str, str]) -> None:
        gate = threading.Event()
        with (
            provider(waits(gate, says("whole"))) as model,
            agent(tmp_path, env | model.env) as found,
            found.opened("hi") as stream,
        ):
            _wait_for(lambda: len(model.asked) == 1)
            found.process.popen.send_signal(signal.SIGTERM)
            _wait_for(lambda: any("STOPPING=1" in one for one in _heard(found.process)))
            gate.set()
            assert stream.rest()[-1]["text"] == "whole"
            assert found.process.wait(5) == 0

    def test_a_turn_that_does_not_is_taken_up_at_the_next_start(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(never_ends) as model:
            with agent(tmp_path, env | model.env) as found, found.opened("hi", message_id="m") as stream:
                stream.until("text.delta")
                assert found.process.stop(signal.SIGTERM, signal.SIGINT, timeout_s=5) == 0
                assert stream.rest()[-1]["type"] == "text.delta"  # cut off: the client may ask again
                assert not Path(env["OCG_AGENT_SOCK"]).exists()
                assert "Traceback" not in found.process.log
            model.play(echoes)
            with agent(tmp_path, env | model.env) as found:
                assert found.say("hi", message_id="m") == "you said: hi"


class TestDamage:
    """A transcript that something left broken."""

    def test_a_call_without_a_result_never_bricks_a_session(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(echoes) as model:
            with agent(tmp_path, env | model.env) as found:
                found.say("one", session_id="s")
                found.process.stop()
            with sqlite3.connect(Path(env["OCG_DATA_DIR"]) / "agent.db") as db:
                calls_json = json.dumps([{"id": "lost", "name": "time", "arguments": "{}"}])
                db.execute("UPDATE messages SET tool_calls = ? WHERE role = 'assistant'", (calls_json,))
            db.close()
            with agent(tmp_path, env | model.env) as found:
                assert found.say("two", session_id="s") == "you said: two"
                roles = [one["role"] for one in model.asked[-1]["messages"]]
                assert roles == ["system", "user", "assistant", "tool", "user"]
                for _ in range(2):  # mended once, on disk
                    mended = [text for role, text in found.transcript("s") if role == "tool"]
                    assert mended == ["error: time was interrupted; whether it had an effect is not known"]

    def test_a_damaged_database_ends_the_start_with_78(self, tmp_path: Path, env: dict[str, str]) -> None:
        (Path(env["OCG_DATA_DIR"]) / "agent.db").write_bytes(b"no database at all" * 1000)
        status, log = _start(tmp_path, env)
        assert status == 78
        assert "agent.db is damaged" in log
        assert "Traceback" not in log


class TestSocket:
    """The agent's place in the file system."""

    def test_it_is_its_owners_alone_and_so_is_the_database(self, tmp_path: Path, env: dict[str, str]) -> None:
        env |= {"OCG_DATA_DIR": str(tmp_path / "new")}
        with provider(says("x")) as model, agent(tmp_path, env | model.env) as found:
            assert stat.S_IMODE(found.sock.stat().st_mode) == 0o600
            assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
            assert stat.S_IMODE((tmp_path / "new" / "agent.db").stat().st_mode) == 0o600
            assert found.process.stop() == 0
            assert not found.sock.exists()

    def test_a_stale_one_is_replaced(self, tmp_path: Path, env: dict[str, str]) -> None:
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(env["OCG_AGENT_SOCK"])
        with agent(tmp_path, env) as found:
            assert found.ask("GET", "/health")[0] == 200

    def test_a_live_one_is_refused(self, tmp_path: Path, env: dict[str, str]) -> None:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(env["OCG_AGENT_SOCK"])
            other.listen()
            status, log = _start(tmp_path, env)
        assert status == 78
        assert "another ocg-agent answers" in log
        assert Path(env["OCG_AGENT_SOCK"]).exists()

    def test_a_file_in_the_way_is_not_touched(self, tmp_path: Path, env: dict[str, str]) -> None:
        Path(env["OCG_AGENT_SOCK"]).write_text("precious")
        status, log = _start(tmp_path, env)
        assert status == 78
        assert "not a socket of ours" in log
        assert Path(env["OCG_AGENT_SOCK"]).read_text() == "precious"

    def test_another_users_socket_is_not_touched(self, tmp_path: Path, env: dict[str, str]) -> None:
        path = Path(env["OCG_AGENT_SOCK"])
        if os.geteuid() == 0:
            with socket.socket(socket.AF_UNIX) as foreign:
                foreign.bind(str(path))
            os.chown(path, 12345, 12345)
        else:  # only root can make one; this is at least another's
            path = Path("/dev/null")
        status, log = _start(tmp_path, env | {"OCG_AGENT_SOCK": str(path)})
        assert status == 78
        assert f"owner: user {path.stat().st_uid}" in log
        assert path.exists()


class TestSettings:
    """Settings that cannot be, and models that are not there."""

    @pytest.mark.parametrize("url", ["api.example.com/v1", "ftp://x/v1", "http://", "http://h:port/"])
    def test_a_base_url_that_is_none_ends_the_start_with_78(
        self, tmp_path: Path, env: dict[str, str], url: str
    ) -> None:
        status, log = _start(tmp_path, env | {"OCG_BASE_URL": url})
        assert status == 78
        assert "OCG_BASE_URL" in log

    def test_nobody_at_the_base_url_is_told_with_the_setting(
        self, tmp_path: Path, env: dict[str, str], free_port: int
    ) -> None:
        url = f"http://user:pa55word@127.0.0.1:{free_port}/v1"
        with agent(tmp_path, env | {"OCG_BASE_URL": url}) as found:
            failed = found.fail("hi")
            assert failed["code"] == "unavailable"
            assert f"127.0.0.1:{free_port} cannot be reached: Connection refused" in failed["message"]
            assert "OCG_BASE_URL" in failed["hint"]
            assert "pa55word" not in json.dumps(failed) + found.process.log

    def test_no_embedding_service_is_told_with_the_command(self, tmp_path: Path, env: dict[str, str]) -> None:
        with agent(tmp_path, env) as found:
            failed = found.fail("hi")
            assert (failed["code"], "ocg start" in failed["hint"]) == ("unavailable", True)


def _start(folder: Path, env: dict[str, str]) -> tuple[int, str]:
    with running(folder, MODULE, env, ready=False) as process:
        return process.wait(10), process.log


def _heard(process: Any) -> list[str]:
    """Return the notifications so far, those included that lie unread."""
    while True:
        try:
            process.notifications.append(process._notify.recv(4096, socket.MSG_DONTWAIT).decode())
        except BlockingIOError:
            return list(process.notifications)


def _wait_for(condition: Any, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
