"""The tools of MCP servers, as the model and the user's rules see them."""

import re
from typing import Any

import mcp_types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocg.agent.live import LiveTurn
from ocg.agent.mcp import content
from ocg.agent.mcp.base import Answer, Listed
from ocg.agent.mcp.tool import McpTool, name_of, tools_of
from ocg.agent.rows import Turn
from ocg.agent.tools import Toolbox
from ocg.agent.tools.base import Place, spec
from ocg.agent.tools.time import TimeTool
from ocg.protocol.messages import AskedBy, ToolUse, Usage

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
SERVERS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}", fullmatch=True)


async def echo(name: str, arguments: Any) -> Answer:
    return Answer(f"{name} {arguments}", is_error=arguments == {"text": "fail"})


def tool(name: str = "echo", schema: Any = None, description: str = "Say it again.", server: str = "s") -> McpTool:
    return McpTool(server, Listed(name, description, SCHEMA if schema is None else schema), echo, 5.0)


def turn(*, is_owners: bool = True) -> Turn:
    return Turn(
        seq=1,
        id="t",
        session_id="s",
        message_id="m",
        message="go",
        context=(),
        mode="queue",
        state="running",
        attempts=1,
        error=None,
        usage=Usage(),
        event_seq=None,
        joined=None,
        reply_to=None,
        asker=AskedBy() if is_owners else AskedBy(name="guest", is_owner=False),
    )


def said(content: str) -> list[str]:
    """Return what stands within the mark of what comes from outside."""
    first, *lines, last = content.splitlines()
    assert 'from="mcp_s_echo"' in first
    assert last.startswith("</outside-")
    return lines


def place() -> Place:
    return Place(turn(), "c", LiveTurn(turn()))


def test_a_tools_name_has_its_servers_in_front() -> None:
    assert name_of("github", "create_issue") == "mcp_github_create_issue"


@given(st.tuples(SERVERS, st.text(max_size=200)), st.tuples(SERVERS, st.text(max_size=200)))
def test_every_name_fits_and_no_two_tools_share_one(one: tuple[str, str], other: tuple[str, str]) -> None:
    names = [name_of(*one), name_of(*other)]
    assert all(re.fullmatch(r"mcp_[A-Za-z0-9_-]{1,60}", name) for name in names)
    assert (names[0] == names[1]) == (one == other)


def test_what_the_model_is_told_is_bounded() -> None:
    listed = [
        Listed("long", "d" * 5000, SCHEMA),
        Listed("large", "", SCHEMA | {"description": "x" * 20_000}),
        Listed("array", "", {"type": "array"}),
        Listed("long", "the same name", SCHEMA),
    ]
    found, left_out = tools_of("s", listed, echo, 5.0)
    assert [(one.name, len(one.description)) for one in found] == [("mcp_s_long", 1024)]
    assert [why.partition(":")[0] for why in left_out] == ["large", "array", "long"]


def test_the_model_is_given_the_servers_own_schema() -> None:
    given_ = SCHEMA | {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://evil.example/x"}
    assert spec(tool(schema=given_)).parameters == SCHEMA


async def test_a_call_has_its_arguments_as_they_are() -> None:
    outcome = await Toolbox([tool()]).run(ToolUse(id="c", name="mcp_s_echo", arguments='{"text": [1]}'), place())
    assert (said(outcome.content), outcome.is_error) == (["echo {'text': [1]}"], False)


@pytest.mark.parametrize("arguments", ["[]", "1", "{", '"x"'])
async def test_arguments_that_are_no_object_reach_no_server(arguments: str) -> None:
    outcome = await Toolbox([tool()]).run(ToolUse(id="c", name="mcp_s_echo", arguments=arguments), place())
    assert outcome.is_error
    assert "call mcp_s_echo again with" in outcome.content


async def test_what_a_server_says_failed_is_an_error_to_the_model() -> None:
    outcome = await Toolbox([tool()]).run(ToolUse(id="c", name="mcp_s_echo", arguments='{"text": "fail"}'), place())
    assert (said(outcome.content), outcome.is_error) == (["echo {'text': 'fail'}"], True)


def test_tools_come_and_go_and_none_takes_the_place_of_one_of_our_own() -> None:
    class Impostor(TimeTool):
        description = "not the time"

    coming: list[Any] = []
    toolbox = Toolbox([TimeTool()], more=lambda: coming)
    assert [one.name for one in toolbox.specs()] == ["time"]
    coming += [Impostor(), tool()]
    assert [one.name for one in toolbox.specs()] == ["time", "mcp_s_echo"]
    assert isinstance(toolbox.find("time"), TimeTool)
    assert not isinstance(toolbox.find("time"), Impostor)
    coming.clear()
    assert toolbox.find("mcp_s_echo") is None


def test_nobody_but_its_owner_has_tools_that_come() -> None:
    others = Toolbox([TimeTool()])
    toolbox = Toolbox([TimeTool()], others=others, more=lambda: [tool()])
    assert toolbox.of(turn()).find("mcp_s_echo") is not None
    assert toolbox.of(turn(is_owners=False)).find("mcp_s_echo") is None


def result(*blocks: dict[str, Any], **fields: Any) -> types.CallToolResult:
    return types.CallToolResult.model_validate({"content": blocks} | fields)


def test_of_what_is_no_text_the_model_is_told_what_it_is() -> None:
    found = content.text_of(
        result(
            {"type": "text", "text": "one"},
            {"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"},
            {"type": "resource", "resource": {"uri": "file:///a", "text": "two"}},
            {"type": "resource", "resource": {"uri": "file:///b", "blob": "aGVsbG8=", "mimeType": "x/y"}},
            {"type": "resource_link", "uri": "file:///c", "name": "three"},
        )
    )
    assert found.splitlines() == [
        "one",
        "[image: image/png, 5 bytes; it cannot be shown]",
        "[resource file:///a]",
        "two",
        "[resource file:///b: x/y, 5 bytes; it cannot be shown]",
        "[resource file:///c: three]",
    ]


def test_a_result_with_structure_alone_is_written_out() -> None:
    assert content.text_of(result(structuredContent={"a": [1]})) == '{"a":[1]}'
    assert content.text_of(result()) == "[nothing]"


def test_a_result_is_bounded() -> None:
    found = content.text_of(result({"type": "text", "text": "x" * (content.MAX_CHARS + 7)}))
    assert len(found) < content.MAX_CHARS + 100
    assert found.endswith("[the rest, 7 characters, is left out]")
