"""What every service tells whoever started it, over systemd's own protocol."""

from pathlib import Path

from ocg.lifecycle import sockets
from tests.processes import running

_AGENT = "ocg.agent"


def test_a_service_says_ready_with_its_pid_and_where_it_serves(tmp_path: Path, env: dict[str, str]) -> None:
    with running(tmp_path, _AGENT, env) as process:
        ready = next(one for one in process.notifications if "READY=1" in one)
        assert f"MAINPID={process.popen.pid}" in ready
        assert f"STATUS=Serving at {env['OCG_AGENT_SOCK']}" in ready


def test_a_watched_service_pings(tmp_path: Path, env: dict[str, str]) -> None:
    with running(tmp_path, _AGENT, env | {"WATCHDOG_USEC": "100000"}) as process:
        process.wait_for("WATCHDOG=1")


def test_the_watchdog_of_another_process_is_not_pinged(tmp_path: Path, env: dict[str, str]) -> None:
    with running(tmp_path, _AGENT, env | {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}) as process:
        process.popen.terminate()
        process.wait_for("STOPPING=1")
        assert not any("WATCHDOG=1" in one for one in process.notifications)


def test_a_stop_is_said_before_it_is_done(tmp_path: Path, env: dict[str, str]) -> None:
    with running(tmp_path, _AGENT, env) as process:
        process.popen.terminate()
        process.wait_for("STOPPING=1")
        assert process.wait() == 0
        assert not Path(env["OCG_AGENT_SOCK"]).exists()


def test_a_start_that_fails_says_why_in_its_status(tmp_path: Path, env: dict[str, str]) -> None:
    with (
        sockets.listen_unix(Path(env["OCG_AGENT_SOCK"])),
        running(tmp_path, _AGENT, env, ready=False) as process,
    ):
        process.wait_for(f"another ocg-agent answers on {env['OCG_AGENT_SOCK']}")
        assert process.wait() == 78


def test_embedding_asks_for_time_while_its_model_loads(tmp_path: Path, env: dict[str, str]) -> None:
    with running(tmp_path, "ocg.embedding", env) as process:
        kinds = [one.partition("=")[0] for one in process.notifications]
        assert "EXTEND_TIMEOUT_USEC" in kinds[: kinds.index("READY")]
        assert any(one == "STATUS=Loading minilm" for one in process.notifications)
