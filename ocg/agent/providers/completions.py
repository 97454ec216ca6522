"""A request as OpenAI's chat completions have it, which most APIs understand."""

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from ocg.agent.providers.assembly import Kept
from ocg.agent.providers.base import PLAIN, Image, Model, PromptMessage, ToolSpec
from ocg.protocol.reading import TAGGED
from ocg.protocol.replies import JsonForm, NamedTool, ReplyOptions

UNSEEN = "[an image that this model cannot see]"


def request_body(
    model: Model,
    messages: Sequence[PromptMessage],
    tools: Sequence[ToolSpec],
    *,
    max_tokens: int,
    options: ReplyOptions = PLAIN,
    provider: str = "",
) -> dict[str, Any]:
    """Write a request; a model without a name is the server's own choice.

    `provider` gets back what it gave along with the calls of tools that still run; nobody else's is sent.
    """
    loop = begins_loop(messages)
    body: dict[str, Any] = {
        "messages": [
            _message(one, takes_images=model.takes_images, provider=provider if at > loop else "")
            for at, one in enumerate(messages)
        ],
        "max_tokens": max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if model.name:
        body["model"] = model.name
    if tools:
        body["tools"] = [{"type": "function", "function": _tool(one)} for one in tools]
    return body | _wished(options, has_tools=bool(tools))


def _wished(options: ReplyOptions, *, has_tools: bool) -> dict[str, Any]:
    """Return what a client asks for by name; what it leaves to the model is not sent."""
    wished: dict[str, Any] = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "seed": options.seed,
        "stop": list(options.stop) or None,
        "response_format": _format(options.form) if options.form else None,
    }
    if has_tools:
        choice = options.tool_choice
        named = {"type": "function", "function": {"name": choice.name}} if isinstance(choice, NamedTool) else choice
        wished["tool_choice"] = None if named == "auto" else named
        wished["parallel_tool_calls"] = options.parallel_calls
    return {key: value for key, value in wished.items() if value is not None}


def _format(form: JsonForm) -> dict[str, Any]:
    if form.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": form.name, "schema": form.schema}
    return {"type": "json_schema", "json_schema": schema | ({} if form.strict is None else {"strict": form.strict})}


def begins_loop(messages: Sequence[PromptMessage]) -> int:
    """Where the user spoke last: what comes after is the model and its tools."""
    return max((at for at, one in enumerate(messages) if one.role == "user"), default=-1)


def valid(arguments: str) -> str:
    """Return arguments as they are, or none at all: a server that reads them refuses broken ones for ever."""
    try:
        msgspec.json.decode(arguments, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return "{}"
    return arguments


def unseen(one: PromptMessage) -> str:
    """Return a message's text, with a word for each image that is not sent."""
    return "\n\n".join([*([one.content] if one.content else []), *(UNSEEN for _ in one.images)])


def _message(one: PromptMessage, *, takes_images: bool, provider: str) -> dict[str, Any]:
    made: dict[str, Any] = {"role": one.role, "content": one.content}
    if one.images:
        # Only what the user says may hold images here.
        made["content"] = _with_images(one) if takes_images and one.role == "user" else unseen(one)
    if one.tool_call_id is not None:
        made["tool_call_id"] = one.tool_call_id
    if one.tool_calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": valid(call.arguments)}}
            for call in one.tool_calls
        ]
    if one.opaque and provider:
        _give_back(made, one.opaque, provider)
    return made


def _give_back(made: dict[str, Any], opaque: str, provider: str) -> None:
    """Add what came with a reply: DeepSeek refuses calls without its reasoning, Google those without signatures.

    MiniMax reasons worse without the tags.
    """
    try:
        kept = msgspec.json.decode(opaque, type=Kept)
    except msgspec.DecodeError:
        return  # another dialect's
    if kept.provider != provider:
        return
    if kept.field in {"reasoning_content", "reasoning"}:
        made[kept.field] = kept.reasoning
    elif kept.field == TAGGED and isinstance(made["content"], str):
        made["content"] = f"<think>{kept.reasoning}</think>\n\n{made['content']}"
    for call, extra in zip(made.get("tool_calls", ()), kept.extras, strict=False):
        if extra:
            call["extra_content"] = extra


def _with_images(one: PromptMessage) -> list[dict[str, Any]]:
    text = [{"type": "text", "text": one.content}] if one.content else []
    return [*text, *({"type": "image_url", "image_url": {"url": _data_url(image)}} for image in one.images)]


def _data_url(image: Image) -> str:
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"


def _tool(one: ToolSpec) -> dict[str, Any]:
    return {"name": one.name, "description": one.description, "parameters": one.parameters}
