"""The Responses API through the gateway and a real agent, by OpenAI's own client; a scripted model is what they ask."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.processes import Process
from tests.provider import ScriptedProvider, echoes, fails, never_ends, provider, says, waits
from tests.service import agent as real
from tests.service.gateway import TOKEN, Gateway, environment, serving
from tests.service.gateway import agent as double


@dataclass
class Stack:
    """A gateway, a model, and an agent that can be killed and started again."""

    gateway: Gateway
    model: ScriptedProvider
    folder: Path
    env: dict[str, str]

    @contextmanager
    def agent(self) -> Iterator[Process]:
        """Run the agent."""
        with real.agent(self.folder, self.env | self.model.env | {"OCG_AUTO_RECALL": "no"}) as found:
            yield found.process

    @contextmanager
    def client(self) -> Iterator[openai.OpenAI]:
        """OpenAI's own client, told no more than where and by which token."""
        with openai.OpenAI(base_url=f"{self.gateway.url}/v1", api_key=TOKEN, max_retries=0) as found:
            yield found

    def shown(self) -> list[tuple[str, str]]:
        """What the model was shown last, without the agent's own words."""
        return [(one["role"], one["content"]) for one in self.model.asked[-1]["messages"] if one["role"] != "system"]


@pytest.fixture
def stack(tmp_path: Path, free_port: int) -> Iterator[Stack]:
    """Everything but the agent."""
    env = environment(tmp_path, free_port)
    with provider(echoes) as model, serving(tmp_path, env) as gateway:
        yield Stack(gateway, model, tmp_path, env)


@pytest.fixture
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    """A client, with an agent that is up."""
    with ExitStack() as owned:
        owned.enter_context(stack.agent())
        yield owned.enter_context(stack.client())


def _ask(client: openai.OpenAI, text: str, **more: Any) -> Any:
    return client.responses.create(model="ocg", input=text, **more)


def test_a_conversation_of_three_goes_on_by_the_id_of_the_last(stack: Stack, client: openai.OpenAI) -> None:
    first = _ask(client, "one", instructions="be brief", metadata={"for": "me"})
    assert (first.output_text, first.status, first.metadata) == ("you said: one", "completed", {"for": "me"})
    with client.responses.stream(model="ocg", input="two", previous_response_id=first.id) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        second = stream.get_final_response()
    assert "".join(deltas) == second.output_text == "you said: two"
    assert len(deltas) > 1
    third = _ask(client, "three", previous_response_id=second.id)
    assert third.previous_response_id == second.id
    said = [("user", "one"), ("assistant", "you said: one"), ("user", "two"), ("assistant", "you said: two")]
    assert stack.shown() == [*said, ("user", "three")]
    assert not any("be brief" in one["content"] for one in stack.model.asked[-1]["messages"])
    other = _ask(client, "instead", previous_response_id=first.id)
    assert other.output_text == "you said: instead"
    assert stack.shown() == [*said[:2], ("user", "instead")]


def test_what_was_told_as_completed_outlives_a_kill(stack: Stack) -> None:
    with stack.client() as client:
        with stack.agent() as process:
            first = list(_ask(client, "one", stream=True, temperature=0.5))[-1].response
            assert process.stop(signal.SIGKILL) == -signal.SIGKILL
        with stack.agent():
            assert first.output_text == "you said: one"
            assert client.responses.retrieve(first.id).to_dict() == first.to_dict()
            _ask(client, "two", previous_response_id=first.id)
            assert stack.shown() == [("user", "one"), ("assistant", "you said: one"), ("user", "two")]


def test_what_is_not_to_be_kept_is_not(stack: Stack, client: openai.OpenAI) -> None:
    first = _ask(client, "a secret of mine", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError) as caught:
        _ask(client, "two", previous_response_id=first.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


def test_a_kept_response_is_read_listed_and_deleted(client: openai.OpenAI) -> None:
    items: Any = [{"role": "developer", "content": "d"}, {"role": "user", "content": "u"}]
    made = client.responses.create(model="ocg", input=items)
    newest = client.responses.input_items.list(made.id, limit=1)
    assert (newest.data[0].to_dict()["role"], newest.has_more) == ("user", True)
    listed = list(client.responses.input_items.list(made.id, limit=1, order="asc"))
    assert [one.to_dict()["content"] for one in listed] == [[{"type": "input_text", "text": text}] for text in "du"]
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.cancel(made.id)
    assert "over" in caught.value.message
    client.responses.delete(made.id)
    for ask in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            ask(made.id)


def test_an_item_may_be_named_instead_of_sent(stack: Stack, client: openai.OpenAI) -> None:
    (first,), (second,) = _ask(client, "one").output, _ask(client, "two").output
    named: Any = [{"type": "item_reference", "id": first.id}, {"id": second.id}, {"role": "user", "content": "three"}]
    client.responses.create(model="ocg", input=named)
    assert stack.shown() == [("assistant", "you said: one"), ("assistant", "you said: two"), ("user", "three")]
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.create(model="ocg", input=[{"type": "item_reference", "id": "msg_0"}])
    assert unknown.value.param == "input[0].id"
    with pytest.raises(openai.BadRequestError) as twice:
        client.responses.create(model="ocg", input=[named[0], *named])
    assert twice.value.param == "input"


def test_a_token_sees_its_own_responses_and_those_of_others_only_if_it_may_read(
    stack: Stack, client: openai.OpenAI
) -> None:
    def token(name: str, *scopes: str) -> openai.OpenAI:
        made = stack.gateway.ask("POST", "/v1/tokens", {"name": name, "scopes": scopes}).json["token"]
        return client.with_options(api_key=made)

    ann, bob, reader = token("ann", "chat"), token("bob", "chat"), token("reader", "chat", "read")
    made = _ask(ann, "a secret of Ann's")
    assert ann.responses.retrieve(made.id).output_text == reader.responses.retrieve(made.id).output_text
    for ask in (bob.responses.retrieve, bob.responses.input_items.list, bob.responses.delete):
        with pytest.raises(openai.NotFoundError):
            ask(made.id)
    with pytest.raises(openai.BadRequestError) as unknown:
        _ask(bob, "what was it?", previous_response_id=made.id)
    assert unknown.value.code == "previous_response_not_found"
    named: Any = [{"type": "item_reference", "id": made.output[0].id}, {"role": "user", "content": "what was it?"}]
    with pytest.raises(openai.NotFoundError):
        bob.responses.create(model="ocg", input=named)
    with pytest.raises(openai.PermissionDeniedError):
        reader.responses.delete(made.id)
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        ann.responses.retrieve(made.id)


def test_a_session_of_the_agents_keeps_its_own_conversation(stack: Stack, client: openai.OpenAI) -> None:
    headers = {"X-OCG-Session": "work"}
    for text in ("one", "two"):
        made = _ask(client, text, extra_headers=headers)
    assert len(stack.shown()) == 3
    found = stack.gateway.ask("GET", "/v1/sessions/work").json
    assert [one["content"] for one in found["messages"] if one["role"] == "user"] == ["one", "two"]
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    for refused in ({"previous_response_id": made.id}, {"tools": [tool]}):
        with pytest.raises(openai.BadRequestError) as caught:
            _ask(client, "three", extra_headers=headers, **refused)
        assert [caught.value.param] == list(refused)


def test_what_fails_before_the_first_word_has_a_status(stack: Stack, client: openai.OpenAI) -> None:
    stack.model.play(fails(400, {"error": {"message": "no such model"}}))
    with pytest.raises(openai.APIStatusError) as failed:
        _ask(client, "hi", stream=True)
    assert "no such model" in failed.value.message
    with pytest.raises(openai.BadRequestError) as refused:
        _ask(client, "hi", tools=[{"type": "web_search"}])
    assert refused.value.param == "tools[0].type"


def test_a_stream_that_is_cut_off_ends_with_its_failure(stack: Stack) -> None:
    stack.model.play(waits(threading.Event(), says("never"), first="half of "))
    with stack.client() as client, stack.agent() as process:
        events = iter(_ask(client, "hi", stream=True))
        assert next(event for event in events if event.type == "response.output_text.delta").delta == "half of "
        process.stop(signal.SIGKILL)
        rest = list(events)
    assert [event.type for event in rest] == ["response.failed"]
    assert rest[-1].response.error.code == "server_error"
    assert "ocg-agent" in rest[-1].response.error.message


def test_who_leaves_ends_the_work_and_nothing_is_kept(stack: Stack, client: openai.OpenAI) -> None:
    stack.model.play(never_ends)
    stream = _ask(client, "hi", stream=True)
    begun = next(iter(stream)).response
    stream.close()
    assert stack.model.hung_up.wait(10)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(begun.id)


def test_what_cannot_be_kept_is_not_told_as_completed(stack: Stack) -> None:
    """The agent's double keeps no responses."""
    with double(stack.folder, stack.env), stack.client() as client:
        told = list(_ask(client, "hi", stream=True))
        assert [event.type for event in told][-2:] == ["response.output_item.done", "response.failed"]
        with pytest.raises(openai.APIStatusError):
            _ask(client, "hi")
        assert _ask(client, "hi", store=False).output_text == "Hello, world"
