"""Tools for a model whose template has no word for them."""

import json

from ocg.embedding.form import Tool
from ocg.embedding.layout import without_tools

CLOCK = Tool("clock", "Says the time", {"type": "object"})


def test_tools_are_told_of_behind_what_the_system_message_says() -> None:
    first, second = without_tools(
        [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}], [CLOCK]
    )
    assert first["content"].startswith("Be kind.\n\n")
    assert json.dumps(CLOCK.spec["function"]) in first["content"]
    assert second == {"role": "user", "content": "Hi"}


def test_tools_make_a_system_message_where_there_is_none() -> None:
    roles = [one["role"] for one in without_tools([{"role": "user", "content": "Hi"}], [CLOCK])]
    assert roles == ["system", "user"]


def test_without_tools_nothing_is_added() -> None:
    assert without_tools([{"role": "user", "content": "Hi"}], []) == [{"role": "user", "content": "Hi"}]


def test_a_past_call_is_written_as_the_model_is_told_to_write_one() -> None:
    call = {"type": "function", "function": {"name": "clock", "arguments": {"zone": "UTC"}}}
    (found,) = without_tools([{"role": "assistant", "content": "Let me look.", "tool_calls": [call]}], [])
    assert found["content"].startswith("Let me look.<tool_call>\n")
    written = found["content"].partition("<tool_call>")[2].removesuffix("</tool_call>")
    assert json.loads(written) == {"name": "clock", "arguments": {"zone": "UTC"}}
