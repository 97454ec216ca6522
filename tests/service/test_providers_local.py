"""The local model: tools are offered to those that take them, and what even a tiny one calls is a valid call."""

import json
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from ocg.agent.confinement import choose
from ocg.agent.providers.assembly import Assembly
from ocg.agent.providers.base import Model, PromptMessage, Reply
from ocg.agent.providers.completions import request_body
from ocg.agent.providers.local import LocalProvider
from ocg.agent.providers.refusal import from_service
from ocg.agent.providers.transport import Target, Transport, bearer
from ocg.agent.tools import Toolbox, files
from ocg.agent.tools.base import Tool, parse, spec
from ocg.agent.tools.time import TimeTool
from ocg.config import AgentSettings
from ocg.protocol import address
from ocg.protocol.address import Address
from ocg.protocol.approvals import Decision
from tests.agent_parts import PlayedModel, parts, place_of
from tests.provider import ScriptedProvider, calls, provider, says
from tests.service.agent import agent
from tests.service.embedding import Service, environment, serving


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    name: Literal["kitchen", "garden"]
    floor: int


class _Move(msgspec.Struct, forbid_unknown_fields=True):
    """One within another, and choices: what a model of this size gets wrong by itself. No text, which it never ends."""

    to: _Place
    how: Literal["slowly", "at once"]


class MoveTool:
    """A tool whose calls are hard to write."""

    name = "move"
    description = "Move things to a place."
    default: Decision = "allow"
    arguments = _Move
    timeout_s = 1.0
    is_repeatable = True
    is_outside = False

    async def run(self, arguments: _Move) -> str:
        return arguments.how


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """ocg-embedding with SmolLM2."""
    folder = tmp_path_factory.mktemp("local")
    with serving(folder, environment(folder)) as service:
        yield service


async def _reply(
    real: Service, messages: Sequence[PromptMessage], tools: Sequence[Tool], *, choice: str = "required"
) -> Reply:
    """Ask the real model, which calls a tool where it has to."""
    where = Target(f"{real.where.url}/v1/chat/completions", bearer(real.where.token))
    transport = Transport(
        "x",
        lambda: where,
        lambda: Assembly("x"),
        lambda status, _, body: from_service(status, body),
        hint="",
        first_silence_s=110,
        silence_s=110,
    )
    body = request_body(Model("", 8192), messages, [spec(tool) for tool in tools], max_tokens=100)
    try:
        async with aclosing(transport.reply(body | {"tool_choice": choice, "temperature": 0})) as pieces:
            *_, reply = [piece async for piece in pieces]
    finally:
        await transport.close()
    assert isinstance(reply, Reply)
    return reply


@pytest.mark.parametrize("tool", [TimeTool(), MoveTool()], ids=lambda tool: tool.name)
async def test_what_the_real_model_calls_is_a_call_that_the_tool_takes(real: Service, tool: Tool) -> None:
    reply = await _reply(real, [PromptMessage("user", "Move the two chairs to the kitchen.")], [tool])
    (call,) = reply.tool_calls
    assert call.name == tool.name
    parse(tool, call.arguments)


async def test_the_real_model_reads_a_file_by_a_confined_tool_and_answers_by_what_is_in_it(
    real: Service, tmp_path: Path
) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace/notes.md").write_text("The key is under the mat.\n")
    confined = [one for one in files.tools(choose(AgentSettings(data_dir=tmp_path))) if one.name == "read"]
    asked = PromptMessage("user", "Read the file notes.md.")
    (call,) = (await _reply(real, [asked], confined)).tool_calls
    async with parts(tmp_path, PlayedModel(Model("any", 8192))) as found:
        outcome = await Toolbox(confined).run(call, place_of(await found.turn(asked.content)))
    assert not outcome.is_error, outcome
    messages = [asked, PromptMessage("assistant", "", (call,)), PromptMessage("tool", outcome.content, (), call.id)]
    answer = await _reply(real, messages, confined, choice="none")
    assert "under the mat" in answer.text


async def test_the_real_model_is_known_for_one_that_takes_no_tools(real: Service) -> None:
    found = LocalProvider(Path(_folder_of(real)))
    try:
        model = await found.model()
    finally:
        await found.close()
    assert (model.name, model.takes_tools, model.is_small, model.takes_images) == ("smollm2-135m", False, True, False)


def _folder_of(real: Service) -> str:
    """Where the service publishes its address."""
    return str(Path(real.process.log_file).parent / "pids")


def _published(server: ScriptedProvider, env: dict[str, str], *, tools: bool) -> None:
    """Have the agent take a scripted server for ocg-embedding."""
    folder = Path(env["OCG_PID_DIR"])
    folder.mkdir(mode=0o700, exist_ok=True)
    server.facts = {"/v1/models": {"data": [{"id": "chatty", "kind": "chat", "context": 8192, "tools": tools}]}}
    address.publish(folder, Address(server.base_url.removesuffix("/v1"), "token-of-the-service"))


def test_a_local_model_that_takes_tools_is_offered_them_and_they_are_run(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(calls("time", '{"zone": "UTC"}'), says("noon")) as server:
        _published(server, env, tools=True)
        with agent(tmp_path, env | {"OCG_AUTO_RECALL": "no"}) as found:
            assert found.say("what time is it?") == "noon"
        assert "time" in [tool["function"]["name"] for tool in server.asked[0]["tools"]]
        assert server.asked[1]["messages"][-1]["role"] == "tool"
        assert server.keys[0] == "Bearer token-of-the-service"


def test_the_real_model_calls_a_tool_of_a_clients_though_it_is_given_none_of_the_agents(
    real: Service, tmp_path: Path, env: dict[str, str]
) -> None:
    schema = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}
    tool = {"name": "light", "description": "Switch the light on or off.", "parameters": schema}
    options = {"tools": [tool], "tool_choice": "required", "max_tokens": 60, "temperature": 0, "seed": 2**40}
    asked = "Switch the light on."
    with agent(tmp_path, env | {"OCG_PID_DIR": _folder_of(real), "OCG_AUTO_RECALL": "no"}) as found:
        end = found.turn(asked, kind="api", options=options)[-1]
        assert (end["type"], end["finish"]) == ("turn.completed", "tool_calls"), end
        (call,) = end["tool_calls"]
        assert (call["name"], list(json.loads(call["arguments"]))) == ("light", ["on"])
        called = {"role": "assistant", "content": end["text"], "tool_calls": [call]}
        result = {"role": "tool", "content": "It is on.", "tool_call_id": call["id"]}
        context = [{"role": "user", "content": asked}, called, result]
        options = {"tools": [tool], "tool_choice": "none", "max_tokens": 16}
        last = found.turn("", kind="api", context=context, options=options)[-1]
        assert (last["type"], last.get("tool_calls", [])) == ("turn.completed", []), last


def test_the_real_model_answers_in_the_form_that_is_asked_for(
    real: Service, tmp_path: Path, env: dict[str, str]
) -> None:
    schema = {"type": "object", "properties": {"large": {"type": "boolean"}}, "required": ["large"]}
    with agent(tmp_path, env | {"OCG_PID_DIR": _folder_of(real), "OCG_AUTO_RECALL": "no"}) as found:
        answer = found.say("Is a whale large?", options={"form": {"schema": schema}, "max_tokens": 40})
    assert list(json.loads(answer)) == ["large"]


def test_a_local_model_that_takes_none_is_offered_none_but_a_clients(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(says("hello")) as server:
        _published(server, env, tools=False)
        with agent(tmp_path, env | {"OCG_AUTO_RECALL": "no"}) as found:
            assert found.say("what time is it?") == "hello"
            found.turn("what time is it?", kind="api", options={"tools": [{"name": "clock"}]})
        assert "tools" not in server.asked[0]
        assert [tool["function"]["name"] for tool in server.asked[1]["tools"]] == ["clock"]
