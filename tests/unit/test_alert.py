"""`ocg alert`: who is to know that a service gave up is told, in time, whatever is broken, and without our secrets."""

import http.server
import json
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ocg.cli import __main__ as cli
from ocg.errors import Code, OcgError
from ocg.managers.alert import delivery, failure
from ocg.managers.alert.failure import MESSAGE_ID, Failure

FAILED = Failure(unit="ocg-agent.service", result="exit-code", exit_status=78, restarts=2, status="Bad.", host="vm")


@pytest.fixture
def no_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """No manager can be asked."""

    def refuse(self: object) -> None:
        raise OcgError(Code.UNAVAILABLE, "no connection to the system's bus")

    monkeypatch.setattr("ocg.managers.bus.Bus.__enter__", refuse)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, str]]:
    """What is sent to the journal."""
    sent: list[Mapping[str, str]] = []
    monkeypatch.setattr("pystemd.journal.sendv", lambda **fields: sent.append(fields))
    return sent


@contextmanager
def webhook(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[Any]]]:
    """Serve one address that remembers what it is told."""
    told: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            answer(self)

        def log_message(self, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = False  # closing it waits for them

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", told
        finally:
            server.shutdown()
            thread.join()


def ended(pid: int) -> bool:
    """Whether a process is gone, or is so within 5 s."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 5)[0])
    finally:
        os.close(descriptor)


def accept(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(204)
    handler.end_headers()


def test_the_line_names_unit_machine_result_and_what_it_said() -> None:
    assert FAILED.text == "ocg-agent gave up on vm: exit-code, exit status 78, 2 restarts, Bad."


def test_what_systemd_told_wins_over_what_it_says_by_now(no_bus: None) -> None:
    told = {"MONITOR_UNIT": "ocg-agent.service", "MONITOR_SERVICE_RESULT": "signal", "MONITOR_EXIT_STATUS": "KILL"}
    found = failure.find("ocg-agent", told, user=False)
    assert (found.result, found.signal, found.exit_status) == ("signal", "SIGKILL", signal.SIGKILL)
    assert failure.find("ocg-gateway", told, user=False).result == "unknown"


def test_without_a_bus_it_is_told_all_the_same(
    no_bus: None, journal: list[Mapping[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["alert", "ocg-agent"]) == 0
    assert "no connection to the system's bus" in journal[0]["MESSAGE"]


def test_the_journals_record_has_the_fields_that_the_catalog_uses(journal: list[Mapping[str, str]]) -> None:
    delivery.record(FAILED)
    assert journal[0]["MESSAGE_ID"] == MESSAGE_ID
    assert journal[0]["PRIORITY"] == "3"
    assert journal[0]["UNIT"] == journal[0]["OCG_UNIT"] == "ocg-agent.service"
    assert (journal[0]["OCG_RESULT"], journal[0]["OCG_EXIT_STATUS"], journal[0]["OCG_RESTARTS"]) == (
        "exit-code", "78", "2",
    )  # fmt: skip


def test_the_command_has_the_facts_and_not_our_secrets(tmp_path: Path) -> None:
    out = tmp_path / "out"
    environ = {"PATH": os.environ["PATH"], "OCG_UI_TOKEN": "s3cret", "OPENAI_API_KEY": "k3y"}
    delivery.run(("sh", "-c", f'env > "{out}"; cat >> "{out}"'), FAILED, environ)
    *env, facts = out.read_text().splitlines()
    assert {"OCG_ALERT_UNIT=ocg-agent.service", "OCG_ALERT_RESULT=exit-code", "OCG_ALERT_EXIT_STATUS=78"} <= set(env)
    assert f"OCG_ALERT_MESSAGE={FAILED.text}" in env
    assert "s3cret" not in out.read_text()
    assert "k3y" not in out.read_text()
    assert json.loads(facts)["text"] == FAILED.text


def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"
    began = time.monotonic()
    with pytest.raises(OcgError, match=r"sh took over 0\.3 s") as caught:
        delivery.run(("sh", "-c", f"sleep 60 & echo $! > {child}; wait"), FAILED, os.environ, limit_s=0.3)
    assert caught.value.code is Code.TIMEOUT
    assert time.monotonic() - began < 5
    assert ended(int(child.read_text()))


def test_a_command_that_fails_or_is_missing_is_an_error() -> None:
    with pytest.raises(OcgError, match="false exited with 1"):
        delivery.run(("false",), FAILED, os.environ)
    with pytest.raises(OcgError, match="No such file"):
        delivery.run(("/nowhere/tell",), FAILED, os.environ)


def test_the_webhook_gets_the_facts() -> None:
    with webhook(accept) as (url, told):
        delivery.post(f"{url}/hook?key=1", FAILED)
    path, facts = told[0]
    assert path == "/hook?key=1"
    assert (facts["unit"], facts["exit_status"], facts["text"]) == ("ocg-agent.service", 78, FAILED.text)
    assert "journalctl -x -u ocg-agent.service" in facts["hint"]


def test_a_redirect_is_not_followed() -> None:
    def redirect(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(307)
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()

    with webhook(redirect) as (url, told), pytest.raises(OcgError, match="HTTP 307"):
        delivery.post(f"{url}/hook", FAILED)
    assert [path for path, _ in told] == ["/hook"]


def test_an_answer_that_drips_has_an_end() -> None:
    def drip(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        with suppress(OSError):  # who asked has gone
            for _ in range(20):
                time.sleep(0.1)
                handler.wfile.write(b"X: y\r\n")

    with webhook(drip) as (url, _), pytest.raises(OcgError, match=r"took over 0\.4 s"):
        delivery.post(url, FAILED, limit_s=0.4)


def test_a_webhook_that_cannot_be_told_is_named_by_its_host_alone(free_port: int) -> None:
    with pytest.raises(OcgError, match=r"127\.0\.0\.1 cannot be told") as caught:
        delivery.post(f"http://127.0.0.1:{free_port}/s3cret", FAILED)
    assert "s3cret" not in str(caught.value)


def test_a_broken_setting_keeps_nobody_from_being_told_of_it(
    no_bus: None, journal: list[Mapping[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env.config").write_text("OCG_PORT=none\n")
    out = tmp_path / "out"
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("OCG_ALERT_COMMAND", f"sh -c 'cat > \"{out}\"'")
    assert cli.run(["alert", "ocg-agent"]) == 0
    assert json.loads(out.read_text())["unit"] == "ocg-agent.service"
    assert journal


def test_one_who_cannot_be_told_keeps_no_other_from_it(
    no_bus: None, journal: list[Mapping[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCG_ALERT_COMMAND", "false")
    with webhook(accept) as (url, told):
        monkeypatch.setenv("OCG_ALERT_WEBHOOK", url)
        assert cli.run(["alert", "ocg-agent"]) == Code.UNAVAILABLE.exit_status
    assert told


@pytest.mark.parametrize("address", ["ftp://x/y", "file:///etc/passwd", "http:///hook", "example.org/hook"])
def test_a_webhook_that_is_no_web_address_is_refused_without_being_shown(
    address: str, no_bus: None, journal: object, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCG_ALERT_WEBHOOK", address)
    assert cli.run(["alert", "ocg-agent"]) == 78
    err = capsys.readouterr().err
    assert "OCG_ALERT_WEBHOOK: expected an address" in err
    assert address not in err


def test_the_command_is_hidden_from_the_list_but_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.run(["--help"])
    assert "alert" not in capsys.readouterr().out
