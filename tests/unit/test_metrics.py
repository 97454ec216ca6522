"""Metrics and traces by themselves: documented, bounded, and without cost to who wants none."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ocg.agent.metrics import Metrics as AgentMetrics
from ocg.embedding.metrics import Metrics as EmbeddingMetrics
from ocg.errors import Code, OcgError
from ocg.gateway.metrics import MetricsRoute
from ocg.lifecycle import answers
from ocg.lifecycle.measured import Measured
from ocg.telemetry import spans
from ocg.telemetry.metrics import OTHER, Meter, Names
from ocg.telemetry.work import Work

DOCUMENT = Path(__file__).parents[2] / "docs/metrics.md"


def _meters() -> dict[str, Meter]:
    """Those of the three services, with all that is measured there."""
    nobody: Any = None
    gateway = Meter("ocg-gateway")
    MetricsRoute(nobody, nobody, gateway)
    found = {"gateway": gateway, "agent": AgentMetrics().meter, "embedding": EmbeddingMetrics().meter}
    for meter in found.values():
        Measured(nobody, meter)
    return found


def _rows(service: str, meter: Meter) -> set[str]:
    """A line of the document for each; what all services have is written once."""
    rows = set()
    for family in meter.registry.collect():
        made = meter.registry._names_to_collectors.get(family.name)
        labels = made._labelnames if isinstance(made, MetricWrapperBase) else ()
        name = family.name + ("_total" if family.type == "counter" else "")
        name = re.sub(rf"^ocg_{service}_(http|process|websockets)", r"ocg_SERVICE_\1", name)
        shown = ", ".join(f"`{one}`" for one in labels)
        rows.add(f"| `{name}` | {family.type} | {shown} | {family.documentation} |")
    return rows


def test_the_document_has_every_metric_and_no_other() -> None:
    wanted = set().union(*(_rows(service, meter) for service, meter in _meters().items()))
    assert {line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `ocg_")} == wanted


def test_names_are_what_prometheus_recommends() -> None:
    """Units are base units and stand last; what Prometheus adds is not said twice (prometheus.io/docs/practices)."""
    for meter in _meters().values():
        for family in meter.registry.collect():
            assert re.fullmatch(r"ocg_[a-z_]+", family.name)
            assert not re.search(r"_(total|count|ms|milliseconds|kb)$", family.name)
            assert family.type != "histogram" or family.name.endswith("_seconds")


def test_a_label_from_outside_has_so_many_values_and_no_more() -> None:
    names = Names(most=2)
    assert [names.of(one) for one in ("a", "b", "c", "a", "")] == ["a", "b", OTHER, "a", OTHER]


def test_work_is_counted_by_how_it_ends() -> None:
    meter = Meter("ocg-test")
    work = Work(meter, None, "task", "Tasks", "kind")
    with work.measured("task", "good"):
        pass
    with pytest.raises(OcgError), work.measured("task", "bad"):
        raise OcgError(Code.TIMEOUT, "late")
    with pytest.raises(GeneratorExit), work.measured("task", "left"):
        raise GeneratorExit
    with work.measured("task", "told") as outcome:
        outcome.fail("limit")
    counted = {
        (one.labels["kind"], one.labels["result"])
        for family in _read(meter)
        for one in family.samples
        if one.name == "ocg_test_tasks_total"
    }
    assert counted == {("good", "ok"), ("bad", "timeout"), ("left", "cancelled"), ("told", "limit")}


def _read(meter: Meter) -> list[Any]:
    return list(text_string_to_metric_families(meter.text().decode()))  # type: ignore[no-untyped-call] # it has no types


async def _stream(_: Request) -> Response:
    async def chunks() -> Any:
        yield b": hi\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")


async def _broken(_: Request) -> Response:
    raise RuntimeError


@pytest.mark.parametrize(
    ("method", "path", "counted"),
    [
        ("GET", "/things/7", ("GET", "/things/{id}", "200")),
        ("BREW", "/things/7", ("other", "/things/{id}", "405")),
        ("GET", "/elsewhere", ("GET", "other", "404")),
        ("GET", "/broken", ("GET", "/broken", "500")),
    ],
)
async def test_a_request_is_counted_by_its_route(method: str, path: str, counted: tuple[str, str, str]) -> None:
    meter = Meter("ocg-test")
    app = Measured(answers.create_app([Route("/things/{id}", _stream), Route("/broken", _broken)]), meter)
    during: list[float] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and message.get("more_body"):
            during.append(_value(meter, "ocg_test_http_streams"))

    async def receive() -> Any:
        await asyncio.Event().wait()  # the client stays

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "headers": [],
        "query_string": b"",
    }
    try:
        await app(scope, receive, send)
    except RuntimeError:
        assert path == "/broken"
    labels = dict(zip(("method", "route", "status"), counted, strict=True))
    assert _value(meter, "ocg_test_http_requests_total", labels) == 1
    assert during == ([1.0] if counted[2] == "200" else [])
    assert _value(meter, "ocg_test_http_streams") == _value(meter, "ocg_test_http_requests_running") == 0


def _value(meter: Meter, name: str, labels: dict[str, str] | None = None) -> float:
    found = meter.registry.get_sample_value(name, labels or {})
    assert found is not None, meter.text().decode()
    return found


def test_nobody_imports_opentelemetry_who_wants_no_traces() -> None:
    services = "import ocg.gateway.service, ocg.agent.service, ocg.embedding.service, sys"
    check = "sys.exit(any(one.startswith('opentelemetry') for one in sys.modules))"
    assert subprocess.run([sys.executable, "-c", f"{services}; {check}"], check=False).returncode == 0


async def test_traces_without_their_package_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ocg.telemetry.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(OcgError, match="OCG_TRACES needs OpenTelemetry") as caught:
        async with spans.tracing("http://127.0.0.1:4318", "ocg-test"):
            pass
    assert caught.value.code is Code.CONFIG_INVALID
    assert "pip install opentelemetry-sdk" in caught.value.hint


def test_without_a_tracer_there_is_no_span_and_no_header() -> None:
    with spans.span(None, "work") as span:
        assert span is None
        assert spans.headers() == {}
