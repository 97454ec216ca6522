"""The weights and the vocabulary of an embedding model, which all its lanes share."""

import ctypes
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ocg.embedding.encoder import wordpiece
from ocg.embedding.llama import damaged, library

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tokens = NDArray[np.int32]

# A text for an encoder must fit one physical batch (n_ubatch), or llama.cpp refuses or crashes.
_MAX_CONTEXT = 2048
_UNKNOWN = "[UNK]"
_MAX_WORDPIECE_BYTES = 64 << 10  # what is longer has too many tokens, whoever counts them
_LEAST_ROOM = 8  # tokens for the marks a model puts round an empty text


class Weights:
    """A loaded model; `context` is how many tokens a text may have."""

    def __init__(self, path: Path, *, name: str = "") -> None:
        """Load a GGUF that has been checked. Raises MODEL_DAMAGED when llama.cpp cannot."""
        self.llama = library()
        self.name = name or path.stem
        self.path = path
        self.handle: Any = self.llama.llama_model_load_from_file(
            str(path).encode(), self.llama.llama_model_default_params()
        )
        if not self.handle:
            raise damaged(path, "it is not a model that llama.cpp knows")
        self._vocabulary = self.llama.llama_model_get_vocab(self.handle)
        self.dim: int = self.llama.llama_model_n_embd_out(self.handle)
        self.context: int = min(self.llama.llama_model_n_ctx_train(self.handle), _MAX_CONTEXT)
        self._has_end = bool(
            self.llama.llama_vocab_get_add_sep(self._vocabulary) or self.llama.llama_vocab_get_add_eos(self._vocabulary)
        )

    def alike(self, path: str) -> Self:
        """Load another file of the same model."""
        return type(self)(Path(path), name=self.name)

    def tokenize(self, data: bytes) -> "Tokens":
        """Return a text's tokens with the marks the model wants; text that looks like a mark stays text."""
        import numpy as np  # noqa: PLC0415 - llama_cpp has it imported

        if self._is_wordpiece and len(data) <= _MAX_WORDPIECE_BYTES and wordpiece.is_needed(text := data.decode()):
            begin, end = self._tokenized(b"")
            return np.array([begin, *self._wordpiece.tokens(text), end], np.int32)
        return self._tokenized(data)

    def _tokenized(self, data: bytes) -> "Tokens":
        import numpy as np  # noqa: PLC0415 - as above

        room = len(data) + _LEAST_ROOM
        tokens = np.empty(room, np.int32)
        pointer = tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        count = self.llama.llama_tokenize(self._vocabulary, data, len(data), pointer, room, True, False)
        # Less than a token a byte, in every vocabulary: it never asks for more room by a negative count.
        return tokens[:count].copy()

    @functools.cached_property
    def _wordpiece(self) -> wordpiece.WordPiece:
        size = self.llama.llama_vocab_n_tokens(self._vocabulary)
        texts = (self.llama.llama_vocab_get_text(self._vocabulary, number).decode() for number in range(size))
        vocabulary = {text: number for number, text in enumerate(texts)}
        return wordpiece.WordPiece(vocabulary, vocabulary[_UNKNOWN])

    def cut(self, tokens: "Tokens") -> "Tokens":
        """Return the beginning of too long a text, with the mark that ends one."""
        import numpy as np  # noqa: PLC0415 - as above

        if not self._has_end:
            return tokens[: self.context]
        return np.concatenate([tokens[: self.context - 1], tokens[-1:]])

    @property
    def _is_wordpiece(self) -> bool:
        return bool(self.llama.llama_vocab_type(self._vocabulary) == self.llama.LLAMA_VOCAB_TYPE_WPM)

    def close(self) -> None:
        """Free it; lanes must be closed by now."""
        self.llama.llama_model_free(self.handle)
