"""The three real services and their real models, as the `openai` package and a WebSocket see them."""

import base64
import json
import math
import socket
import struct
from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.conftest import MODELS
from tests.processes import running
from tests.service.gateway import TOKEN, Gateway, environment, serving

SAID: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello in one word."}]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """All three services."""
    folder = tmp_path_factory.mktemp("openai")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment(folder, port)
    (folder / "data").mkdir()
    (folder / "data" / "models").symlink_to(MODELS)
    with running(folder, "ocg.embedding", env), running(folder, "ocg.agent", env), serving(folder, env) as found:
        yield found


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    """OpenAI's own client, told no more than where and by which token."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=TOKEN, max_retries=0) as found:
        yield found


def test_all_three_are_well(gateway: Gateway) -> None:
    reply = gateway.ask("GET", "/health", headers={})
    assert (reply.status, reply.json["status"]) == (200, "ok")
    assert set(reply.json["services"].values()) == {"ok"}


def test_models_are_listed_and_described(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["ocg", "minilm", "smollm2-135m"]
    assert client.models.retrieve("smollm2-135m").owned_by
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


@pytest.mark.parametrize("model", ["ocg", "smollm2-135m"])
def test_a_chat_is_answered(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=SAID, max_tokens=32)
    assert answer.model == model
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


@pytest.mark.parametrize("model", ["ocg", "smollm2-135m"])
def test_a_chat_streams(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.create(
        model=model, messages=SAID, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    assert len([delta for delta in deltas if delta.content]) > 1
    assert (chunks[-1].choices, chunks[-1].usage is None) == ([], False)


def test_a_session_remembers_and_is_listed(client: openai.OpenAI, gateway: Gateway) -> None:
    for text in ("My name is Ada.", "And who are you?"):
        client.chat.completions.create(
            model="ocg", messages=[{"role": "user", "content": text}], extra_headers={"X-OCG-Session": "ada"}
        )
    found = gateway.ask("GET", "/v1/sessions/ada").json
    assert [message["content"] for message in found["messages"] if message["role"] == "user"] == [
        "My name is Ada.",
        "And who are you?",
    ]
    assert [one["id"] for one in gateway.ask("GET", "/v1/sessions").json["sessions"]] == ["ada"]
    assert gateway.ask("DELETE", "/v1/sessions/ada").json == {"count": 1}
    assert gateway.ask("GET", "/v1/sessions/ada").status == 404


def test_embeddings_come_in_both_encodings(client: openai.OpenAI) -> None:
    texts = ["The new movie is awesome", "The new movie is so great"]
    numbers = client.embeddings.create(model="minilm", input=texts, encoding_format="float")
    first, second = (item.embedding for item in numbers.data)
    cosine = sum(a * b for a, b in zip(first, second, strict=True)) / (math.hypot(*first) * math.hypot(*second))
    assert cosine == pytest.approx(0.89, abs=0.01)
    packed = client.embeddings.with_raw_response.create(model="minilm", input=texts[0], encoding_format="base64")
    data = base64.b64decode(json.loads(packed.content)["data"][0]["embedding"])
    assert struct.unpack(f"<{len(data) // 4}f", data) == pytest.approx(first, abs=1e-5)


def test_openais_client_raises_its_own_errors(client: openai.OpenAI, gateway: Gateway) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="ocg", messages=SAID, n=2, user="ann")
    assert (bad.value.code, bad.value.param, bad.value.type) == ("invalid_request", "n", "invalid_request_error")
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-9", messages=SAID)
    assert (unknown.value.code, unknown.value.param) == ("model_unknown", "model")
    with pytest.raises(openai.NotFoundError):  # it embeds, it does not chat
        client.chat.completions.create(model="minilm", messages=SAID)
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="gpt-9", input="x")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="smollm2-135m", messages=[])
    stranger = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError) as refused:
        stranger.models.list()
    assert refused.value.code == "unauthorized"


def test_memories_are_kept_and_found(gateway: Gateway) -> None:
    kept = gateway.ask("POST", "/v1/memories", {"text": "The user's cat is called Miso."}).json
    found = gateway.ask("GET", "/v1/memories?q=what+pet+do+I+have&limit=1").json["memories"]
    assert [one["id"] for one in found] == [kept["id"]]
    assert gateway.ask("DELETE", f"/v1/memories/{kept['id']}").json == {"count": 1}


def test_a_turn_on_the_socket_is_cancelled(gateway: Gateway) -> None:
    with gateway.socket() as chat:
        chat.send(json.dumps({"type": "turn", "message": "Count to a thousand.", "message_id": "m"}))
        started = json.loads(chat.recv(timeout=30))
        assert (started["type"], started["message_id"]) == ("turn.started", "m")
        chat.send(json.dumps({"type": "cancel", "turn_id": started["turn_id"]}))
        while (event := json.loads(chat.recv(timeout=30)))["type"] == "text.delta":
            pass
        assert (event["type"], event["code"]) == ("turn.failed", "cancelled")


def test_nothing_of_it_left_a_trace_of_a_bug_or_a_secret(gateway: Gateway) -> None:
    assert "Traceback" not in gateway.log
    assert TOKEN not in gateway.log
    assert "Ada" not in gateway.log
