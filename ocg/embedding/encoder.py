"""The embedding model: texts to vectors of length 1, in a thread of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ocg.embedding.llama import CLOSE_S, damaged, library, trained_context
from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker
from ocg.protocol.messages import MAX_TEXT_CHARS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

# A text for an encoder must fit one physical batch (n_ubatch), or llama.cpp refuses or crashes.
_MAX_CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text's vector (shape [dim], float32, L2 norm 1) and how many tokens it had."""

    vector: "Vector"
    tokens: int


class Encoder:
    """One loaded embedding model. A later batcher goes behind `embed`; callers see no difference."""

    def __init__(self, worker: Worker, model: Any, name: str) -> None:
        self.worker = worker
        self._model = model
        self.name = name
        self.dim: int = model.n_embd()
        self.context: int = model.n_ctx()

    @classmethod
    async def load(cls, path: Path, *, threads: int) -> Self:
        """Load a GGUF that has been checked. Raises MODEL_DAMAGED when llama.cpp cannot."""
        worker = Worker("embedding")
        model = await worker.run(lambda: _load(path, threads))
        return cls(worker, model, path.stem)

    async def embed(self, texts: Sequence[str]) -> list[Embedded]:
        """Embed texts, one after the other: 3.2 ms a text, where a list given to llama-cpp-python takes 6.5 ms.

        Raises INVALID_REQUEST for an empty text, CONTEXT_LENGTH with both numbers for one that is too long.
        """
        return [await self.worker.run(partial(self._one, text, at)) for at, text in enumerate(texts)]

    async def close(self) -> None:
        """Let what runs end; what is queued behind it is not waited for long."""
        await self.worker.close(CLOSE_S)

    def _one(self, text: str, at: int) -> Embedded:
        import numpy as np  # noqa: PLC0415 - llama_cpp has it imported

        if len(text) > MAX_TEXT_CHARS:  # which alone take a second to tokenize
            raise OcgError(
                Code.INVALID_REQUEST, f"text {at} has {len(text)} characters of {MAX_TEXT_CHARS}", "split the text"
            )
        try:
            tokens = self._model.tokenize(text.encode("utf-8"), add_bos=True, special=False)
        except UnicodeEncodeError:
            raise OcgError(Code.INVALID_REQUEST, f"text {at} has a lone surrogate", "send valid Unicode") from None
        if not text.strip():
            raise OcgError(Code.INVALID_REQUEST, f"text {at} is empty", "send at least one letter")
        if len(tokens) > self.context:
            raise OcgError(
                Code.CONTEXT_LENGTH,
                f"text {at} has {len(tokens)} tokens, {self.name} takes {self.context}",
                "split the text, or choose a model with a longer context",
            )
        vector = np.asarray(self._model.embed(text, normalize=True, truncate=False), np.float32)
        return Embedded(vector, len(tokens))


def _load(path: Path, threads: int) -> Any:
    llama = library()
    context = min(trained_context(path), _MAX_CONTEXT)
    try:
        model = llama.Llama(
            str(path),
            embedding=True,
            n_ctx=context,
            n_batch=context,
            n_ubatch=context,
            n_threads=threads,
            n_threads_batch=threads,
            verbose=False,
        )
    except (ValueError, RuntimeError) as error:
        raise damaged(path, str(error)) from None
    if model.pooling_type() == llama.LLAMA_POOLING_TYPE_NONE:  # a vector a token instead of one for the text
        raise OcgError(
            Code.CONFIG_INVALID,
            f"{path} is not an embedding model",
            "set EMBEDDING_MODEL_PATH to one, or leave it empty for the default",
        )
    return model
