"""How many tokens a text takes: as the model's own tokenizer counts, or else by an estimate that learns."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ocg.agent.providers.base import Model, PromptMessage, Provider, ToolSpec

BYTES_A_TOKEN = 3  # English has 4 to 5 bytes a token, Chinese about 3: this errs on the safe side for both
MESSAGE_TOKENS = 8  # what a template puts around a message
_CALL_TOKENS = 16  # and around a call of a tool
_IMAGE_TOKENS = 1600  # what Anthropic and OpenAI take for a large one at the most, by their documentation
_MAX_KNOWN = 20_000  # some 3 MB
# English at its best has 5 bytes a token. What an API says beyond that, it counts in another way than we think.
_RATIOS = (BYTES_A_TOKEN / 5, 2.0)
_BELIEVED = (0.4, 3.0)
_LEARNT_TOKENS = 200  # of a shorter prompt most is what the API adds itself


@dataclass(frozen=True, slots=True)
class Piece:
    """A text and the key by which its count is known: it never has another text."""

    key: str
    text: str


class Counter:
    """Counts for one provider. What was counted is kept by model and key."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._known: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._ratios: dict[str, float] = {}

    async def count(self, model: Model, pieces: Sequence[Piece]) -> list[int]:
        """Return how many tokens each piece takes."""
        new = {piece.key: piece.text for piece in pieces if (model.name, piece.key) not in self._known}
        counted = await self._provider.count(list(new.values())) if new else []
        if counted is None:
            ratio = self._ratios.get(model.name, 1.0)
            estimates = {key: int(estimate(text) * ratio) + 1 for key, text in new.items()}
        else:
            estimates = dict(zip(new, counted, strict=True))
        found = [estimates.get(piece.key, self._known.get((model.name, piece.key), 0)) for piece in pieces]
        if counted is not None:
            self._keep(model.name, estimates)
        return found

    async def one(self, model: Model, text: str) -> int:
        """Return how many tokens a text takes that is no message of a session."""
        return (await self.count(model, [Piece(digest(text), text)]))[0]

    async def messages(self, model: Model, messages: Sequence[tuple[str, PromptMessage]]) -> list[int]:
        """Return how many tokens messages take, each with its key and with what a template puts around it."""
        counted = await self.count(model, [Piece(key, text_of(message)) for key, message in messages])
        pairs = zip(counted, messages, strict=True)
        return [tokens + around(message) + _images_tokens(model, message) for tokens, (_, message) in pairs]

    async def tools(self, model: Model, tools: Sequence[ToolSpec]) -> int:
        """Return how many tokens the descriptions of tools take."""
        return sum(await self.each_tool(model, tools))

    async def each_tool(self, model: Model, tools: Sequence[ToolSpec]) -> list[int]:
        """Return how many tokens the description of each takes."""
        texts = [f"{tool.name} {tool.description} {msgspec.json.encode(tool.parameters).decode()}" for tool in tools]
        counts = await self.count(model, [Piece(digest(text), text) for text in texts])
        return [count + _CALL_TOKENS for count in counts]

    def learn(self, model: Model, messages: Sequence[PromptMessage], tools: Sequence[ToolSpec], actual: int) -> None:
        """Take over how many tokens an API says that a prompt took, for what it does not let us count."""
        if any(message.images for message in messages):
            return  # what a picture takes is each API's own
        guessed = sum(estimate(text_of(message)) + around(message) for message in messages)
        guessed += sum(estimate(tool.description) + len(msgspec.json.encode(tool.parameters)) // 3 for tool in tools)
        if guessed >= _LEARNT_TOKENS and _BELIEVED[0] <= actual / guessed <= _BELIEVED[1]:
            self._ratios[model.name] = min(max(actual / guessed, _RATIOS[0]), _RATIOS[1])

    def _keep(self, model: str, counts: dict[str, int]) -> None:
        self._known.update({(model, key): count for key, count in counts.items()})
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)


def estimate(text: str) -> int:
    """Guess how many tokens a text takes."""
    return len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN


def around(message: PromptMessage) -> int:
    """Return how many tokens a template adds to a message."""
    return MESSAGE_TOKENS + _CALL_TOKENS * len(message.tool_calls)


def _images_tokens(model: Model, message: PromptMessage) -> int:
    return _IMAGE_TOKENS * len(message.images) if model.takes_images else 0


def text_of(message: PromptMessage) -> str:
    """Return all of a message that is text to a tokenizer."""
    calls = (f"{call.name} {call.arguments}" for call in message.tool_calls)
    return "\n".join([message.content, *calls, *filter(None, [message.opaque])])


def digest(text: str) -> str:
    """Return a key for a text that has none."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
