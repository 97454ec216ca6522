"""How many tokens a request takes: counted where the model is the local one, and estimated elsewhere."""

from ocg.gateway.anthropic.chat import messages_of
from ocg.gateway.anthropic.raw import answerer_of
from ocg.gateway.anthropic.request import CountRequest
from ocg.gateway.chats.chats import Kind
from ocg.gateway.upstream import Embedding
from ocg.protocol import wire
from ocg.protocol.struct import Struct
from ocg.protocol.tokens import MAX_TEXTS, TokensAnswer, TokensRequest

# A template puts a few around each message; a byte-pair tokenizer makes one of four bytes of English; and Anthropic
# counts (width times height) / 750 for a picture, 1,600 at the most.
_MESSAGE_TOKENS = 4
_BYTES_PER_TOKEN = 4
_PICTURE_TOKENS = 1600


class InputTokens(Struct, frozen=True, kw_only=True):
    """The answer."""

    input_tokens: int


class Counter:
    """Counts by the local model's own tokenizer, else by length."""

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding

    async def count(self, asked: CountRequest) -> InputTokens:
        """Count. Raises MODEL_UNKNOWN for a local model that is not there."""
        answerer, messages = answerer_of(asked.model), messages_of(asked)
        texts = [one.text + "".join(wire.encode(call).decode() for call in one.tool_calls or ()) for one in messages]
        texts += [wire.encode(tool).decode() for tool in asked.tools]
        taken = len(messages) * _MESSAGE_TOKENS + sum(len(one.image_urls) for one in messages) * _PICTURE_TOKENS
        if answerer.kind is Kind.LOCAL:
            return InputTokens(input_tokens=taken + await self._of_model(answerer.model, texts))
        return InputTokens(input_tokens=taken + sum(len(one.encode()) for one in texts) // _BYTES_PER_TOKEN)

    async def _of_model(self, model: str, texts: list[str]) -> int:
        body = TokensRequest(model=model, texts=(*texts[: MAX_TEXTS - 1], "".join(texts[MAX_TEXTS - 1 :])))
        return sum((await self._embedding.call("POST", "/v1/tokens", TokensAnswer, body)).counts)
