"""A request of Ollama's API as the chat that it is, in the form that all of the gateway's chats have."""

from collections.abc import Iterator, Sequence

from ocg.gateway.ollama.request import Asked, OllamaCall, OllamaChat, OllamaMessage, OllamaOptions, OllamaPrompt, plain
from ocg.protocol import openai, wire
from ocg.protocol.asking import wrong

# How files of these kinds begin, in base64: Ollama's clients do not say which kind it is.
_KINDS = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}


def chat_of(asked: OllamaChat) -> openai.ChatRequest:
    """Translate a chat. Raises INVALID_REQUEST."""
    return _chat(asked, _Laid().out(asked.messages), asked.tools or None)


def completion_of(asked: OllamaPrompt) -> openai.ChatRequest:
    """Translate a completion. Raises INVALID_REQUEST, naming what only makes sense beside a model's own template."""
    refused = {"suffix": asked.suffix, "template": asked.template, "raw": asked.raw, "context": asked.context}
    for name, is_asked in refused.items():
        if is_asked:
            raise wrong(name, "is not to be had here", "leave it out; /api/chat takes a whole conversation")
    system = [openai.ChatMessage(role="system", content=asked.system)] if asked.system else []
    return _chat(asked, [*system, openai.ChatMessage(role="user", content=_content(asked.prompt, asked.images))])


def _chat(
    asked: Asked, messages: Sequence[openai.ChatMessage], tools: tuple[openai.Tool, ...] | None = None
) -> openai.ChatRequest:
    options = asked.options or OllamaOptions()
    return openai.ChatRequest(
        model=plain(asked.model),
        messages=tuple(messages),
        max_tokens=_positive(options.num_predict),
        temperature=options.temperature,
        top_p=options.top_p or None,
        seed=_seed(options.seed),
        stop=options.stop,
        tools=tools,
        response_format=_form(asked),
    )


def _positive(number: float | None) -> int | None:
    return int(number) if number is not None and number >= 1 else None


def _seed(number: float | None) -> int | None:
    return int(number) % 2**32 if number is not None and number >= 0 else None


def _form(asked: Asked) -> openai.ResponseFormat | None:
    if isinstance(asked.format, dict):
        return openai.ResponseFormat(type="json_schema", json_schema=openai.JsonSchema(schema=asked.format))
    return openai.ResponseFormat(type="json_object") if asked.format else None


class _Laid:
    """Lays messages out, and finds for each result of a tool which call it answers."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: list[openai.AskedCall] = []

    def out(self, messages: Sequence[OllamaMessage]) -> list[openai.ChatMessage]:
        """Lay them out. Raises INVALID_REQUEST where there is no call for a result."""
        return [self._message(one, f"messages[{number}]") for number, one in enumerate(messages)]

    def _message(self, message: OllamaMessage, where: str) -> openai.ChatMessage:
        content = _content(message.content or "", message.images, f"{where}.images")
        if message.role == "tool":
            return openai.ChatMessage(role="tool", content=content, tool_call_id=self._answered(message, where).id)
        calls = tuple(map(self._call, message.tool_calls or ()))
        self._waiting = list(calls)
        return openai.ChatMessage(role=message.role, content=content, tool_calls=calls or None)

    def _call(self, call: OllamaCall) -> openai.AskedCall:
        self._count += 1
        arguments = wire.encode(call.function.arguments or {}).decode()
        function = openai.FunctionCall(name=call.function.name, arguments=arguments)
        return openai.AskedCall(id=call.id or f"call_{self._count}", function=function)

    def _answered(self, message: OllamaMessage, where: str) -> openai.AskedCall:
        named = (one for one in self._waiting if message.tool_name in {None, one.function.name})
        found = next((one for one in self._waiting if one.id == message.tool_call_id), None) or next(named, None)
        if found is None:
            raise wrong(where, "answers no call of a tool", "send the assistant's message with the call before it")
        self._waiting.remove(found)
        return found


def _content(
    text: str, images: tuple[str, ...] | None, where: str = "images"
) -> str | tuple[openai.TextPart | openai.ImagePart, ...]:
    return (openai.TextPart(text=text), *_pictures(images, where)) if images else text


def _pictures(images: tuple[str, ...], where: str) -> Iterator[openai.ImagePart]:
    for data in images:
        kind = next((kind for beginning, kind in _KINDS.items() if data.startswith(beginning)), None)
        if kind is None:
            raise wrong(where, "no picture that can be read", "send PNG, JPEG, GIF or WebP in base64")
        yield openai.ImagePart(image_url=openai.ImageUrl(url=f"data:{kind};base64,{data}"))
