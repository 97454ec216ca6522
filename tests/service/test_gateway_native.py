"""What the gateway passes on to a real agent beside chats: status, tools, providers, titles, memories."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.provider import echoes, provider
from tests.service.agent import agent
from tests.service.gateway import Gateway, environment, serving


@pytest.fixture
def gateway(tmp_path: Path, free_port: int) -> Iterator[Gateway]:
    """A gateway before a real agent and a scripted model; no embedding service."""
    (tmp_path / "data").mkdir()
    env = environment(tmp_path, free_port)
    with provider(echoes) as model, agent(tmp_path, env | model.env), serving(tmp_path, env) as found:
        yield found


def test_the_status_says_what_each_service_says_of_itself_and_why_one_says_nothing(gateway: Gateway) -> None:
    embedding, agent_, own = gateway.ask("GET", "/v1/status").json["services"]
    assert (embedding["service"], embedding["state"], embedding["health"]) == ("ocg-embedding", "down", None)
    assert embedding["why"]
    assert (agent_["state"], agent_["health"]["details"]["turns_running"]) == ("ok", 0)
    assert own["health"]["pid"] == gateway.process.popen.pid
    for one in (agent_["health"], own["health"]):
        assert 0 < one["uptime_s"] < 60
        assert 10 << 20 < one["memory_bytes"] < 1 << 30
    assert "pid" not in gateway.ask("GET", "/health", headers={}).json


def test_the_agents_tools_are_listed_with_their_parameters(gateway: Gateway) -> None:
    tools = {one["name"]: one for one in gateway.ask("GET", "/v1/tools").json["tools"]}
    assert "query" in tools["memory_search"]["parameters"]["properties"]
    assert tools["time"]["default"] == "allow"


def test_providers_are_listed_tried_and_chosen(gateway: Gateway) -> None:
    used = gateway.ask("GET", "/v1/providers").json["providers"][0]
    assert used["place"] == 1
    assert gateway.ask("POST", f"/v1/providers/{used['name']}/test").json["text"].startswith("you said:")
    assert gateway.ask("POST", "/v1/providers/nobody/test").status == 404
    refused = gateway.ask("PUT", "/v1/providers/wish", {"providers": "nobody"})
    assert (refused.status, refused.error["code"]) == (400, "invalid_request")
    assert gateway.ask("PUT", "/v1/providers/wish", {"providers": "local"}).json == {"count": 1}
    assert gateway.ask("GET", "/v1/providers").json["providers"][0]["name"] == "local"
    assert gateway.ask("DELETE", "/v1/providers/wish").json == {"count": 1}
    assert gateway.ask("GET", "/v1/providers").json["providers"][0]["name"] == used["name"]


def test_a_conversation_gets_another_title_and_is_written_out(gateway: Gateway) -> None:
    gateway.ask("POST", "/v1/turns", {"message": "hello", "session_id": "s"})
    assert gateway.ask("PATCH", "/v1/sessions/s", {"title": "Greetings"}).json["title"] == "Greetings"
    assert gateway.ask("GET", "/v1/sessions").json["sessions"][0]["title"] == "Greetings"
    for wrong in ("", "   ", "two\nlines", "x" * 201):
        assert gateway.ask("PATCH", "/v1/sessions/s", {"title": wrong}).status == 400
    assert gateway.ask("PATCH", "/v1/sessions/none", {"title": "x"}).status == 404
    reply = gateway.ask("GET", "/v1/sessions/s/markdown")
    assert reply.headers["content-type"] == "text/markdown; charset=utf-8"
    first, *_, last = reply.body.decode().strip().split("\n\n")
    assert (first, last) == ("# Greetings", "you said: hello")


def test_memories_are_taken_out_and_in_again(gateway: Gateway) -> None:
    kept = gateway.ask("POST", "/v1/memories", {"text": "The cat is called Tom."}).json
    page = gateway.ask("GET", "/v1/memories/export?after=0").json
    assert [one["id"] for one in page["memories"]] == [kept["id"]]
    gateway.ask("DELETE", f"/v1/memories/{kept['id']}")
    record = {"id": kept["id"], "text": kept["text"]}
    assert gateway.ask("POST", "/v1/memories/import", {"memories": [record]}).json["added"] == 1
    assert gateway.ask("POST", "/v1/memories/import", {"memories": [record]}).json["unchanged"] == 1
    assert gateway.ask("GET", "/v1/memories/proposed").json == {"memories": []}
    assert gateway.ask("POST", "/v1/memories/accept", {"ids": [kept["id"]]}).json == {"count": 0}
    assert gateway.ask("POST", "/v1/memories/accept", {"ids": ["none"]}).status == 404


def test_any_program_speaks_for_a_channel_and_loses_no_answer(gateway: Gateway) -> None:
    assert gateway.ask("GET", "/v1/channels").json == {"channels": []}
    reply_to = {"channel": "pager", "address": "ann"}
    gateway.ask("POST", "/v1/turns", {"message": "hello", "reply_to": reply_to})
    (channel,) = gateway.ask("GET", "/v1/channels").json["channels"]
    assert (channel["name"], channel["waiting"]) == ("pager", 1)

    def take() -> list[tuple[str, str, str]]:
        found = gateway.ask("POST", "/v1/channels/pager/take?wait=5").json["deliveries"]
        return [(one["id"], one["address"], one["text"]) for one in found]

    ((id_, *said),) = take()
    assert said == ["ann", "you said: hello"]
    assert gateway.ask("POST", f"/v1/deliveries/{id_}/failed", {"again_after_s": 0}).json == {"count": 1}
    assert take() == [(id_, *said)]
    assert gateway.ask("DELETE", f"/v1/deliveries/{id_}").json == {"count": 1}
    assert gateway.ask("DELETE", f"/v1/deliveries/{id_}").status == 404
    assert gateway.ask("GET", "/v1/channels").json == {"channels": []}
    assert gateway.ask("POST", "/v1/channels/a%20b/take").status == 400
