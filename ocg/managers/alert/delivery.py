"""Where the news goes: a record in the journal, a program, a webhook. Each has an end, and none has our secrets."""

import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from urllib.parse import urlsplit

from ocg import __version__
from ocg.errors import Code, OcgError
from ocg.imports import without_running
from ocg.managers.alert.failure import MESSAGE_ID, Failure

_COMMAND_S = 30.0
_WEBHOOK_S = 10.0
_END_S = 1.0
_REDIRECTS = 300
# What a program needs to run, to find its user's bus, and to reach the network. Settings and secrets come to us by the
# environment, too (EnvironmentFile=), and are nobody else's.
_PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
)


def as_json(failure: Failure) -> str:
    """Write the facts for programs."""
    facts = {key: value for key, value in asdict(failure).items() if key != "is_user"}
    return json.dumps({**facts, "text": failure.text, "hint": failure.hint}, ensure_ascii=False)


def record(failure: Failure) -> None:
    """Write it to the journal, with a message id."""
    without_running("pystemd")
    from pystemd import journal  # noqa: PLC0415 - where there is something to record

    journal.sendv(
        MESSAGE=failure.text,
        MESSAGE_ID=MESSAGE_ID,
        PRIORITY="3",
        SYSLOG_IDENTIFIER="ocg-alert",
        OCG_UNIT=failure.unit,
        OCG_RESULT=failure.result,
        OCG_EXIT_STATUS=str(failure.exit_status),
        OCG_RESTARTS=str(failure.restarts),
        **{"USER_UNIT" if failure.is_user else "UNIT": failure.unit},
    )


def run(command: Sequence[str], failure: Failure, environ: Mapping[str, str], *, limit_s: float = _COMMAND_S) -> None:
    """Run a program with the facts in its environment and as JSON on its standard input; what it writes is logged.

    Raises UNAVAILABLE when it fails, TIMEOUT when it had to be killed.
    """
    facts = {
        "OCG_ALERT_UNIT": failure.unit,
        "OCG_ALERT_RESULT": failure.result,
        "OCG_ALERT_EXIT_STATUS": str(failure.exit_status),
        "OCG_ALERT_MESSAGE": failure.text,
    }
    kept = {key: environ[key] for key in _PASSED_ON if key in environ}
    try:
        process = subprocess.Popen(command, env=kept | facts, stdin=subprocess.PIPE, start_new_session=True)
    except OSError as error:
        raise OcgError(Code.UNAVAILABLE, f"OCG_ALERT_COMMAND: {command[0]}: {error.strerror}") from None
    with process:
        try:
            process.communicate(as_json(failure).encode(), timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise OcgError(Code.TIMEOUT, f"OCG_ALERT_COMMAND: {command[0]} took over {limit_s:g} s") from None
    if process.returncode:
        raise OcgError(Code.UNAVAILABLE, f"OCG_ALERT_COMMAND: {command[0]} exited with {process.returncode}")


def post(url: str, failure: Failure, *, limit_s: float = _WEBHOOK_S) -> None:
    """Send the facts to an address. Raises UNAVAILABLE; the address itself may be a secret, and only its host is told.

    The limit is for all of it: the look-up of a name, and an answer that comes a byte at a time, know no other.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=limit_s)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    outcome: queue.SimpleQueue[str] = queue.SimpleQueue()
    body = as_json(failure).encode()
    thread = threading.Thread(target=lambda: outcome.put(_post(connection, target, body)), daemon=True)
    thread.start()
    try:
        why = outcome.get(timeout=limit_s)
    except queue.Empty:
        _cut(connection)
        raise OcgError(Code.TIMEOUT, f"OCG_ALERT_WEBHOOK: {parts.hostname} took over {limit_s:g} s") from None
    finally:
        thread.join(_END_S)
    if why:
        raise OcgError(Code.UNAVAILABLE, f"OCG_ALERT_WEBHOOK: {parts.hostname} {why}")


def _post(connection: http.client.HTTPConnection, target: str, body: bytes) -> str:
    """Return what went wrong, empty when nothing did."""
    try:
        headers = {"Content-Type": "application/json", "User-Agent": f"ocg/{__version__}"}
        connection.request("POST", target, body, headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"cannot be told: {error}"
    finally:
        connection.close()
    return "" if HTTPStatus.OK <= status < _REDIRECTS else f"answered with HTTP {status}"


def _cut(connection: http.client.HTTPConnection) -> None:
    """End what the thread waits for, unless that is the look-up of a name."""
    if connection.sock:
        with suppress(OSError):  # it has just ended by itself
            connection.sock.shutdown(socket.SHUT_RDWR)
