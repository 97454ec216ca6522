"""The watchdog ends what hangs, in whatever way, and leaves alone what is only slow."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.systemd.box import CHECKOUT, Box
from tests.systemd.conftest import TOKEN, drop_in

_SERVICES = ("ocg-embedding", "ocg-agent", "ocg-gateway")
_ABORTED = ("Watchdog timeout", "Fatal Python error", "File ", "Thread ", "Current thread")


@pytest.mark.parametrize("service", _SERVICES)
# Stopped within a job, the process may tell of it in the moment between its SIGCONT and the end.
@pytest.mark.says("shows no progress", *_ABORTED, "Extension modules")
def test_a_stopped_process_is_restarted(box: Box, service: str) -> None:
    drop_in(box, f"{service}.service", "WatchdogSec=1s")
    box.run("ocg", "start")
    before = box.pid(service)
    box.run("kill", "-STOP", str(before))
    box.wait_until(f"test $(systemctl show -P NRestarts {service}) = 1 && systemctl is-active -q {service}")
    assert box.pid(service) != before
    assert "Watchdog timeout" in box.journal("-u", service, "--since=-60s")
    assert box.run("ocg", "status").stdout.endswith("Health: ok\n")


@contextmanager
def _frozen(box: Box, pid: int) -> Iterator[None]:
    process = box.start_fed(f"{CHECKOUT}/.venv/bin/python", "-m", "tests.systemd.freeze", str(pid))
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("frozen ")
        yield
    finally:
        process.communicate()


@pytest.mark.says("shows no progress", *_ABORTED)
def test_a_hung_thread_of_llama_is_ended_though_the_service_still_answers(box: Box) -> None:
    drop_in(box, "ocg-embedding.service", "WatchdogSec=1s")
    box.run("ocg", "start")
    before = box.pid("ocg-embedding")
    with _frozen(box, before):
        asked = box.start("curl", "-s", "-m20", *_embed("hello"))
        status = box.run("curl", "-s", "-m2", "-o/dev/null", "-w%{http_code}", "http://127.0.0.1:50000/v1/models")
        assert status.stdout == "401", "the event loop turns"
        box.wait_until("journalctl -q -u ocg-embedding --since=-30s | grep -q 'thread embedding shows no progress'")
        box.wait_until("test $(systemctl show -P NRestarts ocg-embedding) = 1")
        asked.communicate(timeout=30)
    box.wait_until("systemctl is-active -q ocg-embedding")
    explained = box.run("journalctl", "-q", "-x", "-p", "crit", "-u", "ocg-embedding", "--since=-60s").stdout
    assert "embedding" in explained
    assert "Subject: A thread" in explained, "the journal's catalog explains it"
    vectors = json.loads(box.run("curl", "-s", *_embed("hello")).stdout)
    assert len(vectors["data"][0]["embedding"]) == 384


def _embed(text: str) -> tuple[str, ...]:
    body = json.dumps({"input": text})
    return ("-H", f"Authorization: Bearer {TOKEN}", "-d", body, "http://127.0.0.1:55003/v1/embeddings")


def test_a_slow_answer_of_the_model_is_no_hang(box: Box) -> None:
    drop_in(box, "ocg-embedding.service", "WatchdogSec=1s")
    box.run("ocg", "start")
    before = box.pid("ocg-embedding")
    body = {
        "model": "smollm2-135m",
        "messages": [{"role": "user", "content": "word " * 3000 + "\nTell a long story."}],
        "max_tokens": 150,
    }
    box.write("/root/body.json", json.dumps(body))
    began = time.monotonic()
    bearer = f"Authorization: Bearer {_internal(box)}"
    url = "http://127.0.0.1:50000/v1/chat/completions"
    chat = json.loads(box.run("curl", "-s", "-H", bearer, "-d", "@/root/body.json", url, timeout_s=110).stdout)
    assert chat["usage"]["prompt_tokens"] > 2000
    assert time.monotonic() - began > 3, "it has to take longer than the watchdog's time to mean anything"
    assert box.pid("ocg-embedding") == before


def _internal(box: Box) -> str:
    return str(json.loads(box.run("cat", "/run/ocg/embedding.json").stdout)["token"])
