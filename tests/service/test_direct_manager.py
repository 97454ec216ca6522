"""The direct manager with real processes that serve, die, hang and refuse; their content is left out for speed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ocg import config
from ocg.errors import Code, OcgError
from ocg.lifecycle import pidfile, sockets
from ocg.managers import direct
from ocg.managers.base import SERVICES, Phase, StartFailedError
from ocg.managers.direct import DirectManager
from ocg.managers.process import Process

_TINY = str(Path(__file__).parent.parent / "tiny_service.py")
Make = Callable[..., DirectManager]


@pytest.fixture
def settings(env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> config.Common:
    monkeypatch.setenv("PYTHONPATH", env["PYTHONPATH"])
    for key, value in env.items():
        if key.startswith("OCG_"):
            monkeypatch.setenv(key, value)
    (tmp_path / "env.config").touch()
    return config.gather(config.Common, {"OCG_CONFIG": str(tmp_path / "env.config")})


@pytest.fixture
def make(settings: config.Common) -> Iterator[Make]:
    """Build a manager whose services have the given modes; whatever still runs in the end is killed."""

    def build(**modes: str) -> DirectManager:
        def command(service: str) -> tuple[str, ...]:
            return sys.executable, _TINY, service, modes.get(service.removeprefix("ocg-"), "serves")

        return DirectManager(settings, command_of=command)

    yield build
    for _ in DirectManager(settings).stop(force=True):
        pass
    _reap()


def _reap() -> None:
    """Collect the services that were our children."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def test_start_brings_up_all_three_in_order_and_stop_ends_them_in_reverse(make: Make, settings: config.Common) -> None:
    manager = make()
    ready = [one for one in manager.start() if one.phase is Phase.READY]
    assert [one.service for one in ready] == list(SERVICES)
    assert ready[1].detail == str(settings.agent_sock)
    status = manager.status()
    assert status.is_ok
    for service, pid in status.pids.items():
        assert (settings.pid_dir / f"{service}.pid").read_text() == f"{pid}\n"
    stopped = [one for one in manager.stop() if one.phase is Phase.STOPPED]
    assert [(one.service, one.detail) for one in stopped] == [(name, "SIGTERM") for name in reversed(SERVICES)]
    assert manager.status().is_stopped
    assert not list(settings.pid_dir.glob("*.pid"))
    assert not settings.agent_sock.exists()


def test_start_stops_what_runs_first(make: Make) -> None:
    manager = make()
    list(manager.start())
    before = manager.status().pids
    phases = [(one.service, one.phase) for one in manager.start()]
    assert phases.index(("ocg-embedding", Phase.STOPPED)) < phases.index(("ocg-embedding", Phase.STARTING))
    assert manager.status().is_ok
    assert not set(before.values()) & set(manager.status().pids.values())


@pytest.mark.parametrize(("mode", "rung"), [("ignores-term", "SIGINT"), ("ignores-both", "SIGKILL")])
def test_a_service_that_ignores_signals_falls_at_the_next_rung(
    make: Make, monkeypatch: pytest.MonkeyPatch, mode: str, rung: str
) -> None:
    monkeypatch.setattr("ocg.managers.process.RUNG_S", 0.3)
    manager = make(agent=mode)
    list(manager.start())
    stopped = {one.service: one.detail for one in manager.stop() if one.phase is Phase.STOPPED}
    assert stopped == {"ocg-gateway": "SIGTERM", "ocg-agent": rung, "ocg-embedding": "SIGTERM"}


def test_force_kills_at_once(make: Make) -> None:
    manager = make()
    list(manager.start())
    assert {one.detail for one in manager.stop(force=True) if one.phase is Phase.STOPPED} == {"SIGKILL"}


def test_a_service_that_dies_in_its_start_is_named_with_its_log_and_the_others_are_stopped(make: Make) -> None:
    manager = make(agent="dies")
    with pytest.raises(StartFailedError, match=r"ocg-agent was killed by signal 9") as caught:
        list(manager.start())
    assert "about to die" in "\n".join(caught.value.log_lines)
    assert manager.status().is_stopped


def test_a_service_that_refuses_says_why_and_what_to_do(make: Make) -> None:
    with pytest.raises(StartFailedError, match="exit status 78: the moon is full — wait for another moon"):
        list(make(gateway="refuses").start())


def test_a_service_that_never_gets_ready_is_given_up(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "START_TIMEOUT_S", 1.0)
    monkeypatch.setattr("ocg.managers.process.RUNG_S", 0.3)
    with pytest.raises(StartFailedError, match="ocg-embedding was not ready after 1 s"):
        list(make(embedding="never-ready").start())


def test_two_starts_at_once_do_not_meet(make: Make) -> None:
    manager = make()
    steps = manager.start()
    next(steps)
    with pytest.raises(OcgError, match="another `ocg start`") as caught:
        list(make().start())
    assert caught.value.code is Code.ALREADY_RUNNING
    list(steps)
    assert manager.status().is_ok


def test_a_stale_pid_file_never_harms_the_program_that_has_its_number_now(make: Make, settings: config.Common) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        pidfile.open_dir(settings.pid_dir)
        (settings.pid_dir / "ocg-gateway.pid").write_text(f"{stranger.pid}\n")
        manager = make()
        assert manager.status().is_stopped
        assert not list(manager.stop())
        assert stranger.poll() is None
        list(manager.start())
        list(manager.stop())
        assert stranger.poll() is None
        stranger.kill()


def test_a_killed_services_pid_file_is_not_believed(make: Make) -> None:
    manager = make()
    list(manager.start())
    victim = manager.status().pids["ocg-agent"]
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)
    assert manager.status().pids["ocg-agent"] is None
    assert not manager.status().is_ok


def test_an_agents_socket_that_somebody_else_serves_is_left_alone(make: Make, settings: config.Common) -> None:
    with sockets.listen_unix(settings.agent_sock), pytest.raises(OcgError) as caught:
        list(make().start())
    assert caught.value.code is Code.ALREADY_RUNNING


def test_a_port_in_use_is_said_with_the_way_out(make: Make, settings: config.Common) -> None:
    with (
        sockets.listen_tcp("127.0.0.1", [settings.port], key="x"),
        pytest.raises(StartFailedError, match=f"port {settings.port} .*in use") as caught,
    ):
        list(make().start())
    assert "OCG_PORT" in caught.value.message


class TestForeground:
    """`ocg start --foreground` in a process of its own, as a container runs it."""

    @pytest.fixture
    def foreground(self, env: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
        code = (
            "import sys; from ocg import config; from ocg.managers import foreground, direct; "
            f"command = lambda s: (sys.executable, {_TINY!r}, s, 'serves'); "
            "direct.DirectManager.__init__.__kwdefaults__['command_of'] = command; "
            f"settings = config.gather(config.Common, {{'OCG_CONFIG': {str(tmp_path / 'env.config')!r}}}); "
            "[print(p.service, p.phase, p.detail, flush=True) for p in foreground.Foreground(settings).run()]"
        )
        (tmp_path / "env.config").touch()
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        yield process
        if process.poll() is None:
            process.terminate()
            process.wait(20)
        assert process.stdout is not None
        process.stdout.close()

    @staticmethod
    def _read_until(process: subprocess.Popen[str], text: str) -> list[str]:
        assert process.stdout is not None
        timer = threading.Timer(20, process.kill)
        timer.start()
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if text in line:
                timer.cancel()
                timer.join()
                return lines
        raise AssertionError(f"no {text!r} in {lines}")

    def test_it_restarts_what_dies_and_ends_all_in_order_on_sigterm(
        self, foreground: subprocess.Popen[str], settings: config.Common
    ) -> None:
        self._read_until(foreground, "ocg-gateway ready")
        victim = pidfile.holder(settings.pid_dir, "ocg-agent")
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        self._read_until(foreground, "ocg-agent stopped SIGKILL")
        # The agent's socket stayed open meanwhile, so that a client that comes now waits and is served.
        assert sockets.answers(settings.agent_sock)
        self._read_until(foreground, "ocg-agent ready")
        assert pidfile.holder(settings.pid_dir, "ocg-agent") not in {None, victim}
        foreground.terminate()
        lines = self._read_until(foreground, "ocg-embedding stopped SIGTERM")
        assert [one.split()[0] for one in lines if "stopped" in one] == list(reversed(SERVICES))
        assert foreground.wait(10) == 0

    def test_a_service_that_keeps_dying_is_given_up_and_the_others_are_stopped(
        self, foreground: subprocess.Popen[str], settings: config.Common
    ) -> None:
        self._read_until(foreground, "ocg-gateway ready")
        for _ in range(6):
            deadline = time.monotonic() + 20
            while (process := Process.find(settings.pid_dir, "ocg-embedding")) is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.kill(process.pid, signal.SIGKILL)
            process.ended(5)
            process.close()
        assert foreground.wait(30) != 0
        assert all(pidfile.holder(settings.pid_dir, service) is None for service in SERVICES)


def _wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + 10
    while text not in log.read_text():
        assert time.monotonic() < deadline, f"{log} has no {text!r}"
        time.sleep(0.01)


def test_a_reload_goes_to_whoever_runs_and_stops_nobody(make: Make, settings: config.Common) -> None:
    manager = make()
    list(manager.start())
    before = manager.status().pids
    asked = [(one.service, one.phase) for one in manager.reload()]
    assert asked == [(service, Phase.RELOADED) for service in SERVICES]
    for service in SERVICES:
        _wait_for(settings.log_dir / f"{service}.log", "configuration reloaded")
    assert manager.status().pids == before
    list(manager.stop())
    with pytest.raises(OcgError, match="nothing is running") as caught:
        list(manager.reload())
    assert caught.value.code is Code.NOT_RUNNING
