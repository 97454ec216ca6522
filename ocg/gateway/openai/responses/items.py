"""What goes into a response and comes out of it: messages, calls of the client's tools with their results, thoughts.

One shape serves both directions, since clients send back what they got; ids and states may then be null.
"""

import uuid
from typing import Any, Literal

import msgspec

from ocg.protocol import wire
from ocg.protocol.asking import wrong
from ocg.protocol.messages import Name
from ocg.protocol.openai import AskedCall, ChatMessage, FunctionCall, ImagePart, ImageUrl, TextPart
from ocg.protocol.struct import Struct

Status = Literal["in_progress", "completed", "incomplete"]


class InputText(Struct, frozen=True, tag_field="type", tag="input_text"):
    """Text of the user's, of the developer's, or that a tool gave."""

    text: str


class InputImage(Struct, frozen=True, tag_field="type", tag="input_image"):
    """A picture, in a `data:` URL."""

    image_url: str | None = None
    detail: str = "auto"


class OutputText(Struct, frozen=True, tag_field="type", tag="output_text"):
    """Text of the model's; annotations and logprobs are there because OpenAI's clients look for them."""

    text: str
    annotations: tuple[Any, ...] | None = ()
    logprobs: tuple[Any, ...] | None = ()


class Refusal(Struct, frozen=True, tag_field="type", tag="refusal"):
    """Why another server's model did not answer."""

    refusal: str


class ReasoningText(Struct, frozen=True, tag_field="type", tag="reasoning_text"):
    """What the model thought."""

    text: str


class MessageItem(Struct, frozen=True, tag_field="type", tag="message"):
    """Somebody says something."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[InputText | InputImage | OutputText | Refusal, ...]
    id: str | None = None
    status: Status | None = None


class CallItem(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="function_call"):
    """The model calls a tool of the client's, which may be one of a group."""

    call_id: str
    name: str
    arguments: str
    namespace: str | None = None
    id: str | None = None
    status: Status | None = None


class OutputItem(Struct, frozen=True, tag_field="type", tag="function_call_output"):
    """What the tool gave."""

    call_id: str
    output: str | tuple[InputText | InputImage, ...]
    id: str | None = None
    status: Status | None = None


class ReasoningItem(Struct, frozen=True, tag_field="type", tag="reasoning"):
    """The model thinks; a client may send it back, and models are not shown it again."""

    content: tuple[ReasoningText, ...] | None = ()
    summary: tuple[Any, ...] = ()
    encrypted_content: str | None = None
    id: str | None = None
    status: Status | None = None


class ItemReference(Struct, frozen=True, tag_field="type", tag="item_reference"):
    """An item that came out of a response before, by its id."""

    id: Name


MadeItem = MessageItem | CallItem | ReasoningItem
Item = MessageItem | CallItem | OutputItem | ReasoningItem
_KINDS: dict[str, type[Item | ItemReference]] = {
    "message": MessageItem,
    "function_call": CallItem,
    "function_call_output": OutputItem,
    "reasoning": ReasoningItem,
    "item_reference": ItemReference,
}
_PREFIXES = {MessageItem: "msg", CallItem: "fc", OutputItem: "fco", ReasoningItem: "rs"}


def items_of(found: str | tuple[dict[str, Any], ...]) -> tuple[Item | ItemReference, ...]:
    """Read a request's `input`; each item gets an id and a state. Raises INVALID_REQUEST."""
    if isinstance(found, str):
        return (named(MessageItem(role="user", content=(InputText(text=found),))),)
    return tuple(_item(fields, f"input[{number}]") for number, fields in enumerate(found))


def _item(fields: dict[str, Any], where: str) -> Item | ItemReference:
    # Of a message and of a reference it may be left out.
    kind = fields.get("type") or ("item_reference" if "id" in fields and "role" not in fields else "message")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise wrong(f"{where}.type", f"no item {str(kind)[:40]!r} is known", f"send one of {', '.join(_KINDS)}")
    item = wire.convert(_KINDS[kind], fields | {"type": kind}, where=where)
    if isinstance(item, ItemReference):
        return item
    if isinstance(item, MessageItem) and isinstance(item.content, str):
        part = OutputText(text=item.content) if item.role == "assistant" else InputText(text=item.content)
        item = msgspec.structs.replace(item, content=(part,))
    return named(item)


def named(item: Item) -> Item:
    """Give an item an id and a state if it has none."""
    return msgspec.structs.replace(item, id=item.id or new_id(type(item)), status=item.status or "completed")


def new_id(kind: type[Item]) -> str:
    """Make an id for an item."""
    return f"{_PREFIXES[kind]}_{uuid.uuid4().hex}"


def messages_of(items: tuple[Item, ...]) -> tuple[ChatMessage, ...]:
    """Lay items out as the messages of a chat: calls belong to the message before them, thoughts to none."""
    messages: list[ChatMessage] = []
    for item in items:
        match item:
            case MessageItem():
                messages.append(ChatMessage(role=item.role, content=_content(item.content)))
            case CallItem():
                before = messages.pop() if messages and messages[-1].role == "assistant" else None
                messages.append(_with_call(before or ChatMessage(role="assistant"), item))
            case OutputItem():
                messages.append(ChatMessage(role="tool", content=_content(item.output), tool_call_id=item.call_id))
            case ReasoningItem():
                pass
    return tuple(messages)


def _with_call(message: ChatMessage, call: CallItem) -> ChatMessage:
    function = FunctionCall(name=full_name(call.name, call.namespace), arguments=call.arguments)
    asked = AskedCall(id=call.call_id, function=function)
    return msgspec.structs.replace(message, tool_calls=(*(message.tool_calls or ()), asked))


def full_name(name: str, namespace: str | None) -> str:
    """Return what a model is told that a tool is called: models know no groups of tools."""
    return f"{namespace}__{name}" if namespace else name


def _content(
    content: str | tuple[InputText | InputImage | OutputText | Refusal, ...],
) -> str | tuple[TextPart | ImagePart, ...]:
    if isinstance(content, str):
        return content
    parts = tuple(_part(part) for part in content)
    if any(isinstance(part, ImagePart) for part in parts):
        return parts
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def _part(part: InputText | InputImage | OutputText | Refusal) -> TextPart | ImagePart:
    match part:
        case InputImage():
            # Who answers says what is wrong with a picture that is not there.
            return ImagePart(image_url=ImageUrl(url=part.image_url or ""))
        case Refusal():
            return TextPart(text=part.refusal)
        case _:
            return TextPart(text=part.text)
