"""What the three services tell of themselves: one page of metrics, and traces that cross all of them."""

import contextlib
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.collector import Collector, Seen, collector
from tests.conftest import MODELS
from tests.processes import Process, running
from tests.provider import ScriptedProvider, calls, provider, says, waits
from tests.service.gateway import BEARER, Gateway, environment, serving
from tests.service.memory import wait_for

SERVICES = {"ocg-gateway", "ocg-agent", "ocg-embedding"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SECRET = "the violin of Lisbon"


@dataclass(frozen=True)
class Stack:
    """All three, and the model that they use."""

    gateway: Gateway
    agent: Process
    provider: ScriptedProvider


@contextlib.contextmanager
def serve(folder: Path, **more: str) -> Iterator[Stack]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with provider(says("ok")) as model:
        env = environment(folder, port, OCG_PRICE="1/2", **model.env, **more)
        (folder / "data").mkdir()
        (folder / "data" / "models").symlink_to(MODELS)
        with (
            running(folder, "ocg.embedding", env),
            running(folder, "ocg.agent", env) as agent,
            serving(folder, env) as gateway,
        ):
            yield Stack(gateway, agent, model)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with serve(tmp_path_factory.mktemp("metrics")) as found:
        yield found


@pytest.fixture
def spans() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture
def traced(tmp_path: Path, spans: Collector) -> Iterator[Stack]:
    with serve(tmp_path, OCG_TRACES=spans.url) as found:
        yield found


Page = dict[tuple[str, frozenset[tuple[str, str]]], float]


def page(gateway: Gateway) -> Page:
    """The values on the page, as Prometheus' own parser reads them."""
    reply = gateway.ask("GET", "/metrics")
    assert (reply.status, reply.headers["Content-Type"].split(";")[0]) == (200, "application/openmetrics-text")
    families = list(text_string_to_metric_families(reply.body.decode()))  # type: ignore[no-untyped-call] # it has no types
    assert all(family.documentation for family in families)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(found: Page, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


def remember(gateway: Gateway) -> None:
    """Store a memory, and wait until it can be found by meaning."""

    def is_embedded() -> bool:
        found = page(gateway)
        return value(found, "ocg_up", service="ocg-agent") == 1 and value(found, "ocg_agent_memory_outbox") == 0

    gateway.ask("POST", "/v1/memories", {"text": f"The user dreams of {SECRET}."})
    wait_for(is_embedded)


def test_a_turn_is_counted_where_it_goes(stack: Stack) -> None:
    """Twice a model is asked, once a tool is run, and memories are searched for by meaning."""
    remember(stack.gateway)
    stack.provider.play(calls("memory_search", '{"query": "dreams"}'), says("of a violin"), says("ok"))
    before = page(stack.gateway)
    reply = stack.gateway.ask("POST", "/v1/turns", {"message": "What do I dream of?"})
    assert b"of a violin" in reply.body
    after = page(stack.gateway)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    custom = {"provider": "custom", "model": "scripted"}
    assert more("ocg_gateway_http_requests_total", method="POST", route="/v1/turns", status="200") == 1
    assert more("ocg_agent_http_requests_total", method="POST", route="/v1/turns", status="200") == 1
    assert more("ocg_agent_turns_total", result="ok") == 1
    assert more("ocg_agent_turn_duration_seconds_count") == 1
    assert more("ocg_agent_turn_first_text_seconds_count") == 1
    assert more("ocg_agent_model_calls_total", provider="custom", result="ok") == 2
    assert more("ocg_agent_tokens_total", **custom, kind="prompt") == 22
    assert more("ocg_agent_tokens_total", **custom, kind="completion") == 10
    assert more("ocg_agent_cost_dollars_total", **custom) == pytest.approx((22 * 1 + 10 * 2) / 1e6)
    assert more("ocg_agent_tool_calls_total", tool="memory_search", result="ok") == 1
    assert more("ocg_embedding_searches_total", result="ok") >= 1
    assert more("ocg_embedding_texts_total", source="model") >= 1
    assert value(after, "ocg_agent_provider_breaker", provider="custom", state="closed") == 1
    assert value(after, "ocg_agent_turn_queue", state="running") == 0
    assert {service: value(after, "ocg_up", service=service) for service in SERVICES} == dict.fromkeys(SERVICES, 1.0)
    for service in SERVICES:
        assert value(after, f"{service.replace('-', '_')}_process_resident_memory_bytes") > 10 << 20


def test_what_fails_is_counted_by_how(stack: Stack) -> None:
    stack.provider.play(calls("no_such_tool", "{}"), lambda exchange: exchange.error(401, b"no"))
    assert b"turn.failed" in stack.gateway.ask("POST", "/v1/turns", {"message": "hello"}).body
    found = page(stack.gateway)
    assert value(found, "ocg_agent_turns_total", result="provider_error") == 1
    assert value(found, "ocg_agent_tool_calls_total", tool="other", result="error") == 1
    assert value(found, "ocg_agent_model_calls_total", provider="custom", result="provider_error") == 1


def test_no_path_from_outside_becomes_a_label(stack: Stack) -> None:
    for at in range(3):
        stack.gateway.ask("GET", f"/nowhere/{at}")
        stack.gateway.ask("GET", f"/v1/sessions/none{at}")
    found = page(stack.gateway)
    assert value(found, "ocg_gateway_http_requests_total", method="GET", route="other", status="404") == 3
    assert value(found, "ocg_gateway_http_requests_total", method="GET", route="/v1/sessions/{id}", status="404") == 3
    assert not any("none" in text or "nowhere" in text for _, labels in found for _, text in labels)


def test_what_waits_and_what_is_open_is_seen_meanwhile(stack: Stack) -> None:
    """Of two questions in one conversation one is asked of the model, and one waits for it."""
    gate = threading.Event()
    stack.provider.play(waits(gate, says("ok"), first="One moment"), says("ok"))
    with stack.gateway.socket() as client, stack.gateway.socket() as other:
        try:
            for one in (client, other):
                one.send(json.dumps({"type": "turn", "message": "hello", "session_id": "queue"}))
                one.recv(timeout=10)
            found = page(stack.gateway)
        finally:
            gate.set()
        for one in (client, other):
            while json.loads(one.recv(timeout=10))["type"] != "turn.completed":
                pass
    assert value(found, "ocg_gateway_websockets") == 2
    assert value(found, "ocg_agent_http_streams") == 2
    assert value(found, "ocg_agent_turn_queue", state="running") == 1
    assert value(found, "ocg_agent_turn_queue", state="waiting") == 1
    wait_for(lambda: value(page(stack.gateway), "ocg_gateway_websockets") == 0)
    assert value(page(stack.gateway), "ocg_agent_http_streams") == 0


def test_a_message_that_joins_a_turn_is_no_failure(stack: Stack) -> None:
    gate = threading.Event()
    stack.provider.play(waits(gate, says("ok"), first="One moment"), says("both"))
    before = page(stack.gateway)
    with stack.gateway.socket() as client:
        client.send(json.dumps({"type": "turn", "message": "hello", "session_id": "steered"}))
        client.recv(timeout=10)
        client.send(json.dumps({"type": "turn", "message": "and this", "session_id": "steered", "mode": "steer"}))
        ended: set[str] = set()
        while not {"turn.completed", "turn.joined"} <= ended:
            said = json.loads(client.recv(timeout=10))
            ended.add(said["type"])
            if said["type"] == "turn.started":
                gate.set()
    after = page(stack.gateway)
    for result, more in (("ok", 1), ("joined", 1), ("cancelled", 0)):
        labels = {"result": result}
        assert (
            value(after, "ocg_agent_turns_total", **labels) - value(before, "ocg_agent_turns_total", **labels) == more
        )


def test_a_chat_with_the_local_model_is_counted_where_it_runs(stack: Stack) -> None:
    asked = {"model": "smollm2-135m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    assert stack.gateway.ask("POST", "/v1/chat/completions", asked).status == 200
    found = page(stack.gateway)
    assert value(found, "ocg_embedding_chats_total", result="ok") == 1
    assert value(found, "ocg_embedding_chat_tokens_total", kind="completion") == 4
    assert value(found, "ocg_embedding_chats_running") == 0


def test_what_is_passed_on_to_a_provider_is_counted_as_its_own(stack: Stack) -> None:
    stack.provider.play(says("ok"), lambda exchange: exchange.error(429, b"later"), says("ok"))
    before = page(stack.gateway)
    asked = {"model": "custom/any", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    assert stack.gateway.ask("POST", "/v1/chat/completions", asked).status == 200
    assert stack.gateway.ask("POST", "/v1/chat/completions", asked).status == 429
    after = page(stack.gateway)
    for result in ("ok", "provider_error"):
        name, labels = "ocg_agent_model_calls_total", {"provider": "custom", "result": result}
        assert value(after, name, **labels) - value(before, name, **labels) == 1


def test_metrics_want_a_token_that_may_read(stack: Stack) -> None:
    assert stack.gateway.ask("GET", "/metrics", headers={}).status == 401
    for scope, status in (("read", 200), ("chat", 403)):
        made = stack.gateway.ask("POST", "/v1/tokens", {"name": scope, "scopes": [scope]}).json
        found = stack.gateway.ask("GET", "/metrics", headers={"Authorization": f"Bearer {made['token']}"})
        assert found.status == status


def test_a_service_that_hangs_is_not_up_and_holds_nobody_back(stack: Stack) -> None:
    stack.agent.popen.send_signal(signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        found = page(stack.gateway)
        took_s = time.monotonic() - began_s
    finally:
        stack.agent.popen.send_signal(signal.SIGCONT)
    assert value(found, "ocg_up", service="ocg-agent") == 0
    assert value(found, "ocg_up", service="ocg-embedding") == 1
    assert not any(name.startswith("ocg_agent") for name, _ in found)
    assert took_s < 4.0


def test_one_trace_crosses_all_three_and_holds_nothing_that_was_said(traced: Stack, spans: Collector) -> None:
    remember(traced.gateway)
    traced.provider.play(calls("memory_search", f'{{"query": "{SECRET}"}}'), says(SECRET), says("ok"))
    caller = "00f067aa0ba902b7"
    headers = {**BEARER, "traceparent": f"00-{TRACE}-{caller}-01"}
    traced.gateway.ask("POST", "/v1/turns", {"message": f"Tell me of {SECRET}"}, headers=headers)
    found = spans.of_trace(
        TRACE,
        ("ocg-gateway", "POST /v1/turns"),
        ("ocg-agent", "POST /v1/turns"),
        ("ocg-agent", "invoke_agent ocg"),
        ("ocg-agent", "chat scripted"),
        ("ocg-agent", "execute_tool memory_search"),
        ("ocg-embedding", "POST /collections/{name}/search"),
        ("ocg-embedding", "embeddings"),
        ("ocg-embedding", "search"),
    )
    by_id = {one.span_id: one for one in found}
    [first] = [one for one in found if one.parent_id not in by_id]
    assert (first.name, first.service, first.parent_id) == ("POST /v1/turns", "ocg-gateway", caller)
    [tool] = [one for one in found if one.name.startswith("execute_tool")]
    assert by_id[tool.parent_id].name == "invoke_agent ocg"
    assert SECRET not in repr(found)
    assert not any("traceparent" in one.lower() for asked in traced.provider.headers for one in asked)


def test_a_turn_of_the_pages_socket_has_one_trace_as_well(traced: Stack, spans: Collector) -> None:
    traced.provider.play(says("ok"))
    with traced.gateway.socket() as client:
        client.send(json.dumps({"type": "turn", "message": "hello"}))
        while (said := json.loads(client.recv(timeout=10)))["type"] != "turn.completed":
            pass
    wait_for(lambda: any(_turn_of(one, said["session_id"]) for one in spans.spans))
    [turn] = [one for one in spans.spans if _turn_of(one, said["session_id"])]
    found = spans.of_trace(turn.trace_id, ("ocg-gateway", "POST ocg-agent"), ("ocg-agent", "POST /v1/turns"))
    assert [one.name for one in found if not one.parent_id] == ["POST ocg-agent"]


def _turn_of(span: Seen, session_id: str) -> bool:
    return span.name == "invoke_agent ocg" and span.attributes["gen_ai.conversation.id"] == session_id


def test_a_collector_that_does_not_answer_delays_no_stop(tmp_path: Path, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = environment(tmp_path, free_port, OCG_TRACES=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with serving(tmp_path, env) as gateway:
            assert gateway.ask("GET", "/v1/sessions").status == 503
            began_s = time.monotonic()
            assert gateway.process.stop() == 0
            assert time.monotonic() - began_s < 3.0


def test_a_collector_that_is_not_there_is_told_of_once(tmp_path: Path, free_port: int) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        env = environment(tmp_path, free_port, OCG_TRACES=f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with serving(tmp_path, env) as gateway:
            gateway.ask("GET", "/v1/nothing")
            wait_for(lambda: "traces are lost" in gateway.log)
            gateway.ask("GET", "/v1/nothing")
            assert gateway.process.stop() == 0
        assert gateway.log.count("traces are lost") == 1
        assert not re.search("Traceback|opentelemetry", gateway.log)
