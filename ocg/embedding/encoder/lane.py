"""One llama.cpp context that embeds several texts in one physical batch, by the low-level API."""

import ctypes
from typing import TYPE_CHECKING, Any

from ocg.embedding.encoder.weights import Weights
from ocg.embedding.llama import damaged
from ocg.errors import Code, OcgError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ocg.embedding.encoder.weights import Tokens

    Matrix = NDArray[np.float32]

MAX_TEXTS = 64  # in a batch; sequences, to llama.cpp


class Lane:
    """Computes in the thread that calls it. Lanes of one model run side by side."""

    def __init__(self, weights: Weights, *, threads: int) -> None:
        """Make the context. Raises CONFIG_INVALID for a model that gives no vector for a text."""
        import numpy as np  # noqa: PLC0415 - llama_cpp has it imported

        llama = self._llama = weights.llama
        self._weights = weights
        self._threads = threads
        size = weights.context
        self._context = llama.llama_init_from_model(weights.handle, _parameters(llama, size, threads))
        if not self._context:
            raise damaged(weights.path, "there is no room for its context, or it has none")
        self._check_pooling()
        self._memory = llama.llama_get_memory(self._context)
        self._count = np.arange(size, dtype=np.int32)
        self._token = np.zeros(size, np.int32)
        self._position = np.zeros(size, np.int32)
        # Each token belongs to one sequence, named by a pointer to its number.
        self._sequence = np.zeros(size, np.uint64)
        self._pointers = (self._count.ctypes.data + np.arange(MAX_TEXTS) * 4).astype(np.uint64)
        self._kept = (np.ones(size, np.int32), np.ones(size, np.int8))
        self._batch = self._laid_out(*self._kept)

    def encode(self, texts: "Sequence[Tokens]", *, threads: int) -> "Matrix":
        """Return the vectors of texts, which together fit the context: [texts, dim], each of length 1."""
        import numpy as np  # noqa: PLC0415 - as above

        self._fill(texts)
        if threads != self._threads:
            self._llama.llama_set_n_threads(self._context, threads, threads)
            self._threads = threads
        if self._memory:  # a model that could go on writing keeps what it read
            self._llama.llama_memory_clear(self._memory, True)
        if status := self._llama.llama_decode(self._context, self._batch):
            raise OcgError(Code.INTERNAL, f"llama.cpp failed to embed ({status})", "see the log of ocg-embedding")
        vectors = np.empty((len(texts), self._weights.dim), np.float32)
        for at, row in enumerate(vectors):
            found = self._llama.llama_get_embeddings_seq(self._context, at)
            ctypes.memmove(row.ctypes.data, found, row.nbytes)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return vectors

    def close(self) -> None:
        """Free the context."""
        self._llama.llama_free(self._context)

    def _fill(self, texts: "Sequence[Tokens]") -> None:
        import numpy as np  # noqa: PLC0415 - as above

        lengths = [len(text) for text in texts]
        total = self._batch.n_tokens = sum(lengths)
        np.concatenate(texts, out=self._token[:total])
        np.concatenate([self._count[:length] for length in lengths], out=self._position[:total])
        self._sequence[:total] = np.repeat(self._pointers[: len(texts)], lengths)

    def _laid_out(self, ones: "NDArray[np.int32]", flags: "NDArray[np.int8]") -> Any:
        """Point llama.cpp's batch at our arrays; every token is an output, since all are pooled."""
        batch = self._llama.llama_batch()
        batch.token = _pointer(self._token, ctypes.c_int32)
        batch.pos = _pointer(self._position, ctypes.c_int32)
        batch.n_seq_id = _pointer(ones, ctypes.c_int32)
        batch.seq_id = _pointer(self._sequence, ctypes.POINTER(ctypes.c_int32))
        batch.logits = _pointer(flags, ctypes.c_int8)
        return batch

    def _check_pooling(self) -> None:
        kinds = {self._llama.LLAMA_POOLING_TYPE_NONE, self._llama.LLAMA_POOLING_TYPE_RANK}
        if self._llama.llama_pooling_type(self._context) not in kinds:
            return
        self.close()
        raise OcgError(
            Code.CONFIG_INVALID,
            f"{self._weights.path} is not an embedding model",
            "set EMBEDDING_MODEL_PATH to one, or leave it empty for the default",
        )


def _parameters(llama: Any, size: int, threads: int) -> Any:
    parameters = llama.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = size
    parameters.n_seq_max = MAX_TEXTS
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.embeddings = True
    parameters.kv_unified = True  # texts of different lengths share one cache
    # A batch pays attention over all its texts. Without flash attention that costs 16 texts of 16 tokens 1.8 times, and
    # 32 of them 2.3 times as long.
    parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_ENABLED
    return parameters


def _pointer(array: "NDArray[Any]", kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))
