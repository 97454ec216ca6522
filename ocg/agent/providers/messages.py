"""A request as Anthropic's Messages API has it (platform.claude.com/docs/en/api/messages)."""

import base64
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from ocg.agent.providers.base import PLAIN, Image, Model, PromptMessage, ToolSpec
from ocg.agent.providers.completions import UNSEEN, begins_loop, valid
from ocg.agent.providers.forms import closed
from ocg.config import Thinking
from ocg.protocol.replies import NamedTool, ReplyOptions

_CACHED = {"type": "ephemeral"}
_DISABLED = {"type": "disabled"}
_CHOICES = {"auto": "auto", "required": "any"}
_HIGHEST_TEMPERATURE = 1.0
# What a model that decides itself how much to think may take for it beside its answer.
_THINKING_TOKENS = 8192
# The least that the API takes as a budget.
_LEAST_BUDGET = 1024
# The API lets nobody think who is made to call a tool.
_OFF = Thinking(is_off=True)
_ID = re.compile(r"[^A-Za-z0-9_-]")


class Signed(msgspec.Struct):
    """A reply's blocks in their order, the thinking signed: it goes back unchanged, only to the model it came from.

    A call of a tool is a mere place in the order: the conversation may have given it another id.
    """

    model: str
    content: list[dict[str, Any]]


def request_body(
    model: Model,
    messages: Sequence[PromptMessage],
    tools: Sequence[ToolSpec],
    *,
    max_tokens: int,
    thinking: Thinking,
    options: ReplyOptions = PLAIN,
) -> dict[str, Any]:
    """Write a request; what stays the same from one to the next is marked for the provider's cache."""
    if tools and _forces(options):
        thinking = _OFF
    system = "\n\n".join(one.content for one in messages if one.role == "system" and one.content)
    said = [one for one in messages if one.role != "system"]
    body: dict[str, Any] = {
        "model": model.name,
        "messages": _turns(said, model, with_thinking=not thinking.is_off),
        "max_tokens": max_tokens,
        "stream": True,
    }
    if system:
        body["system"] = [{"type": "text", "text": system, "cache_control": _CACHED}]
    if described := tools or _called(said):
        body["tools"] = [_tool(one) for one in described]
        body["tools"][-1]["cache_control"] = _CACHED
        body |= {} if tools else {"tool_choice": {"type": "none"}}
    _add_thinking(body, said, thinking, is_bounded=options.max_tokens is not None)
    return body | _wished(options, has_tools=bool(tools), thinks=body.get("thinking", _DISABLED) != _DISABLED)


def _called(said: Sequence[PromptMessage]) -> list[ToolSpec]:
    """Return what was called, by name alone: the API wants to know the tools of calls that nobody is to make again."""
    names = {call.name: None for one in said for call in one.tool_calls}
    return [ToolSpec(name, "", {}) for name in names]


def _forces(options: ReplyOptions) -> bool:
    return options.tool_choice == "required" or isinstance(options.tool_choice, NamedTool)


def _wished(options: ReplyOptions, *, has_tools: bool, thinks: bool) -> dict[str, Any]:
    """Return what a client asks for by name, as far as the API knows it: it has no seed.

    A model that thinks takes no sampling, and none takes both kinds of it; a text to stop at must not be blank.
    """
    wished: dict[str, Any] = {}
    if options.temperature is not None and not thinks:
        wished["temperature"] = min(options.temperature, _HIGHEST_TEMPERATURE)
    elif options.top_p is not None and not thinks:
        wished["top_p"] = options.top_p
    if stops := [one for one in options.stop if one.strip()]:
        wished["stop_sequences"] = stops
    if options.form is not None and options.form.schema is not None:
        wished["output_config"] = {"format": {"type": "json_schema", "schema": closed(options.form.schema)}}
    if has_tools and (choice := _choice(options)) != {"type": "auto"}:
        wished["tool_choice"] = choice
    return wished


def _choice(options: ReplyOptions) -> dict[str, Any]:
    choice = options.tool_choice
    if choice == "none":
        return {"type": "none"}
    made = {"type": "tool", "name": choice.name} if isinstance(choice, NamedTool) else {"type": _CHOICES[choice]}
    return made | ({"disable_parallel_tool_use": True} if options.parallel_calls is False else {})


def _add_thinking(body: dict[str, Any], said: Sequence[PromptMessage], thinking: Thinking, *, is_bounded: bool) -> None:
    """Ask for as much thinking as the settings say, and make room for it: it counts as part of the answer.

    Where nothing is said of it, a client that bounds the answer gets what the API itself would give.
    """
    if thinking.is_off:
        body["thinking"] = _DISABLED
        return
    if not is_bounded or thinking != Thinking():
        body["max_tokens"] += thinking.tokens or _THINKING_TOKENS
    if thinking.is_adaptive:
        body["thinking"] = {"type": "adaptive", "display": "summarized"}
    # With a budget the API refuses calls of tools that come without the thinking before them, as another provider's do.
    elif thinking.tokens and all(one.opaque for one in said[begins_loop(said) + 1 :] if one.tool_calls):
        budget = max(thinking.tokens, _LEAST_BUDGET)
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        body["max_tokens"] += budget - thinking.tokens


def _turns(said: Sequence[PromptMessage], model: Model, *, with_thinking: bool) -> list[dict[str, Any]]:
    """Lay out messages as turns of user and assistant, one after the other; the first must be the user's."""
    turns: list[dict[str, Any]] = []
    for one in said:
        role = "assistant" if one.role == "assistant" else "user"
        blocks = _blocks(one, model, with_thinking=with_thinking)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    if turns and turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": "…"}]})
    if turns:
        turns[-1]["content"][-1]["cache_control"] = _CACHED
    return turns


def _blocks(one: PromptMessage, model: Model, *, with_thinking: bool) -> list[dict[str, Any]]:
    content = [*_text(one.content), *(_image(image, model) for image in one.images)]
    if one.role == "tool":
        result = {"type": "tool_result", "tool_use_id": _id(one.tool_call_id or ""), "content": content}
        return [result | ({"is_error": True} if one.content.startswith("error: ") else {})]
    uses = [
        {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": msgspec.json.decode(valid(call.arguments))}
        for call in one.tool_calls
    ]
    signed = _signed(one.opaque, model) if with_thinking else []
    if sum(block.get("type") == "tool_use" for block in signed) != len(uses):
        return [*content, *uses]
    waiting = iter(uses)
    return [next(waiting) if block["type"] == "tool_use" else block for block in signed] or content


def _text(text: str) -> list[dict[str, Any]]:
    """Return a text as a block; the API refuses an empty one."""
    return [{"type": "text", "text": text}] if text.strip() else []


def _image(image: Image, model: Model) -> dict[str, Any]:
    if not model.takes_images:
        return {"type": "text", "text": UNSEEN}
    data = base64.b64encode(image.data).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": data}}


def _signed(opaque: str, model: Model) -> list[dict[str, Any]]:
    try:
        kept = msgspec.json.decode(opaque or "{}", type=Signed)
    except msgspec.DecodeError:
        return []  # another dialect's
    return kept.content if kept.model == model.name else []


def _id(text: str) -> str:
    """Return a call's id in the letters that the API takes; calls may come from another provider."""
    return _ID.sub("_", text) or "_"


def _tool(one: ToolSpec) -> dict[str, Any]:
    described = {"description": one.description} if one.description else {}
    return {"name": one.name, **described, "input_schema": {"type": "object"} | one.parameters}
