"""The journal: fields to find a turn by, priorities that mean something, `ocg logs`, and a service that gave up."""

import json

import pytest

from tests.systemd.box import CHECKOUT, Box
from tests.systemd.conftest import GAVE_UP, TOKEN, configure, misbehave

_WEBHOOK = """
import socket
with socket.create_server(("127.0.0.1", 7002)) as listener:
    peer, _ = listener.accept()
    text = peer.recv(65536).decode()
    while text.endswith("\\r\\n\\r\\n"):
        text += peer.recv(65536).decode()
    peer.sendall(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
    print(text)
"""


def _say(box: Box, text: str) -> str:
    """Do a turn and return its id."""
    body = json.dumps({"message": text, "message_id": text})
    ask = ("curl", "-s", "--unix-socket", "/run/ocg/agent.sock", "-d", body, "http://agent/v1/turns")
    events = [json.loads(line[6:]) for line in box.run(*ask).stdout.splitlines() if line.startswith("data: ")]
    assert events[-1]["type"] == "turn.completed", events[-1]
    return str(events[0]["turn_id"])


def test_a_turn_is_found_by_its_field(box: Box, model: str) -> None:
    box.run("ocg", "start")
    one, other = _say(box, "one"), _say(box, "other")
    found = [json.loads(line) for line in box.journal("-o", "json", f"OCG_TURN={one}").splitlines()]
    assert found
    assert {entry["SYSLOG_IDENTIFIER"] for entry in found} == {"ocg-agent"}
    assert all(entry["OCG_SESSION"] and entry["PRIORITY"] == "6" for entry in found)
    shown = box.run("ocg", "logs", "agent", "--turn", one, "--since", "10m").stdout
    assert one in shown
    assert other not in shown


def test_logs_follow(box: Box, model: str) -> None:
    box.run("ocg", "start")
    following = box.start("ocg", "logs", "-f", "-n9")  # should it begin to look only when the turn is over
    try:
        assert following.stdout is not None
        box.wait_until("pgrep -f 'journalctl.*--follow'")
        turn = _say(box, "hello")
        line = following.stdout.readline()
        while turn not in line:
            line = following.stdout.readline()
    finally:
        box.run("pkill", "-f", "journalctl.*--follow")
        following.communicate(timeout=10)


@pytest.mark.says("nothing is reloaded")
def test_errors_have_their_priority_and_nothing_else_has(box: Box) -> None:
    box.run("ocg", "start")
    configure(box, "this is no line")
    box.run("systemctl", "reload", "ocg-agent")
    box.wait_until("journalctl -q -p err -u 'ocg-*' --since=-30s | grep -q 'nothing is reloaded'")
    lines = box.journal("-p", "err", "-u", "ocg-*", "-o", "cat", "--since=-30s").splitlines()
    assert [line for line in lines if "nothing is reloaded" not in line and "Failed" not in line] == []


@pytest.mark.says("moon is full", "Failed to start ocg-agent", "gave up")
def test_a_service_that_gave_up_is_reported_with_the_remedy_and_to_whom_the_user_said(box: Box) -> None:
    listening = box.start(f"{CHECKOUT}/.venv/bin/python", "-c", _WEBHOOK)
    box.wait_until("ss -ltn | grep -q :7002")
    configure(
        box,
        "OCG_ALERT_WEBHOOK=http://127.0.0.1:7002/alert",
        "OCG_ALERT_COMMAND=/bin/sh -c 'echo \"$OCG_ALERT_UNIT $OCG_ALERT_EXIT_STATUS\" > /var/lib/ocg/alerted'",
    )
    misbehave(box, "ocg-agent", "refuses")
    box.run("systemctl", "start", "ocg-agent", check=False)
    box.wait_until("test -s /var/lib/ocg/alerted")
    box.wait_until("systemctl show -P ActiveState ocg-alert@ocg-agent | grep -qx inactive")
    received, _ = listening.communicate(timeout=20)
    assert box.run("cat", "/var/lib/ocg/alerted").stdout.split()[-1] == "78"
    assert '"ocg-agent' in received
    explained = box.run("journalctl", "-q", "-x", f"MESSAGE_ID={GAVE_UP}", "--since=-60s").stdout
    assert "Subject:" in explained
    assert "moon is full" in explained
    assert TOKEN not in explained
    box.run("rm", "/var/lib/ocg/alerted")
