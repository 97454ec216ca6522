"""Messages laid out as a model was trained to read them: its own chat template, with tools where it knows none."""

import json
from collections.abc import Sequence
from typing import Any

from ocg.embedding.form import Form, Tool
from ocg.errors import Code, OcgError

# How Hermes and Qwen write a call (github.com/NousResearch/Hermes-Function-Calling); others are told to.
CALL_BEGIN = "<tool_call>"
_CALL_END = "</tool_call>"
_HOW_TO = (
    "You can call functions. Their signatures, as JSON:\n{specs}\n"
    "To call one, answer with nothing but\n"
    '<tool_call>\n{{"name": <name>, "arguments": <arguments as a JSON object>}}\n</tool_call>'
)

Messages = Sequence[dict[str, Any]]


class Layout:
    """The chat template of a loaded model (llama_cpp.Llama)."""

    def __init__(self, model: Any, name: str) -> None:
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter  # noqa: PLC0415 - llama_cpp is imported by now

        text = model.metadata.get("tokenizer.chat_template")
        if not text:
            raise OcgError(Code.MODEL_DAMAGED, f"{name} has no chat template", "choose an instruction-tuned model")
        self._model = model
        self._name = name
        self._knows_tools = "tools" in text
        self._template = Jinja2ChatFormatter(
            template=text,
            bos_token=model.detokenize([model.token_bos()], special=True).decode("utf-8", "replace"),
            eos_token=model.detokenize([model.token_eos()], special=True).decode("utf-8", "replace"),
            stop_token_ids=[model.token_eos()],
        )

    def prompt(self, messages: Messages, form: Form) -> list[int]:
        """Return the tokens of a conversation that awaits its answer. Raises INVALID_REQUEST."""
        specs: Any = [tool.spec for tool in form.tools]
        laid: Any = list(messages) if self._knows_tools else without_tools(messages, form.tools)
        try:
            made = self._template(messages=laid, tools=specs if specs and self._knows_tools else None)
            data = made.prompt.encode("utf-8")
        except UnicodeEncodeError:
            raise OcgError(Code.INVALID_REQUEST, "a message has a lone surrogate", "send valid Unicode") from None
        except Exception as error:  # noqa: BLE001 - the template is the model's own program: it may raise whatever it likes
            raise OcgError(
                Code.INVALID_REQUEST, f"{self._name} cannot lay out these messages: {error}", "check their roles"
            ) from None
        return self.tokens(data, add_bos=not made.added_special)

    def tokens(self, data: bytes, *, add_bos: bool = False) -> list[int]:
        """Return the tokens of a piece of a prompt."""
        found: list[int] = self._model.tokenize(data, add_bos=add_bos, special=True)
        return found


def without_tools(messages: Messages, tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Write tools and their calls into the texts, for a template that has no word for them."""
    laid = [_written(message) for message in messages]
    if not tools:
        return laid
    how_to = _HOW_TO.format(specs="\n".join(json.dumps(tool.spec["function"]) for tool in tools))
    if laid and laid[0]["role"] == "system":
        return [{"role": "system", "content": f"{laid[0]['content']}\n\n{how_to}"}, *laid[1:]]
    return [{"role": "system", "content": how_to}, *laid]


def _written(message: dict[str, Any]) -> dict[str, Any]:
    calls = [call["function"] for call in message.get("tool_calls", ())]
    written = "".join(f"{CALL_BEGIN}\n{json.dumps(call)}\n{_CALL_END}" for call in calls)
    return {"role": message["role"], "content": message["content"] + written}
