"""A chat completion as the local model takes it: OpenAI's request with tools and formats, read into our own terms."""

import json
from typing import Annotated, Any

import msgspec

from ocg.embedding import grammar
from ocg.embedding.chat import sampling_of
from ocg.embedding.form import Form, Tool
from ocg.embedding.generator import Asked
from ocg.errors import Code, OcgError
from ocg.protocol import openai

_ONE = Annotated[int, msgspec.Meta(ge=1, le=1)]


class LocalChat(openai.ChatRequest, frozen=True):
    """POST /v1/chat/completions. What it does not know tunes at most how an answer is worded, and is ignored."""

    n: _ONE | None = None

    def asked(self) -> Asked:
        """Read it. Raises INVALID_REQUEST naming the parameter that cannot be."""
        if self.logprobs:
            raise _wrong("logprobs", "the local model does not offer them", "leave it out")
        for number, message in enumerate(self.messages):
            if message.image_urls:
                raise _wrong(f"messages[{number}].content", "the local model sees no pictures", "send text alone")
        sampling = sampling_of(
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=self.stop,
        )
        return Asked([_laid(one) for one in self.messages], sampling, self._form())

    def _form(self) -> Form:
        tools, choice = self._tools(), self.tool_choice
        written = self._grammar()
        if isinstance(choice, openai.ToolChoice):
            tools = tuple(tool for tool in tools if tool.name == choice.function.name)
        must_call = isinstance(choice, openai.ToolChoice) or choice == "required"
        if must_call and not tools:
            raise _wrong("tool_choice", "asks for a tool that `tools` does not have", "add it there")
        if choice == "none":
            tools = ()
        if tools and written is not None:
            raise _wrong("response_format", "an answer cannot be both that and a call", "leave out one of the two")
        return Form(tools, must_call, written)

    def _tools(self) -> tuple[Tool, ...]:
        found = [one.function for one in self.tools or ()]
        return tuple(Tool(one.name, one.description or "", one.parameters or {"type": "object"}) for one in found)

    def _grammar(self) -> str | None:
        asked = self.response_format
        if asked is None or asked.type == "text":
            return None
        if asked.type == "json_object":
            return grammar.of_schema({"type": "object"}, "response_format")
        if asked.json_schema is None or asked.json_schema.schema is None:
            raise _wrong("response_format.json_schema", "is missing", "add the schema")
        return grammar.of_schema(asked.json_schema.schema, "response_format")


def _laid(message: openai.ChatMessage) -> dict[str, Any]:
    """Lay the message out as templates know it: no `developer`, and arguments as an object."""
    made: dict[str, Any] = {"role": "system" if message.role == "developer" else message.role, "content": message.text}
    if message.tool_calls:
        calls = [one.function for one in message.tool_calls]
        made["tool_calls"] = [
            {"type": "function", "function": {"name": one.name, "arguments": _arguments(one)}} for one in calls
        ]
    return made


def _arguments(call: openai.FunctionCall) -> Any:
    try:
        return json.loads(call.arguments)
    except ValueError:
        return {}


def _wrong(param: str, why: str, hint: str) -> OcgError:
    return OcgError(Code.INVALID_REQUEST, f"{param}: {why}", hint, param=param)
