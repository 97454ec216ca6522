"""Text out of a chat model, token by token, in the thread that owns the model."""

import codecs
import ctypes
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocg.embedding.llama import library
from ocg.errors import Code, OcgError

MAX_CONTEXT = 8192
_BATCH = 512
_REPEAT_PENALTY = 1.1  # without it small models say one thing over and over


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen, and when to stop; `stop` are texts that end the answer."""

    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """Why a generation ended (`stop` or `length`), and what it took."""

    reason: str
    prompt_tokens: int
    completion_tokens: int


class Generator:
    """One loaded chat model."""

    def __init__(self, path: Path, *, threads: int) -> None:
        self._llama = library()
        self.name = path.stem
        try:
            self._model = self._llama.Llama(
                str(path),
                n_ctx=MAX_CONTEXT,
                n_batch=_BATCH,
                n_threads=threads,
                n_threads_batch=threads,
                verbose=False,
            )
        except (ValueError, RuntimeError) as error:
            raise OcgError(Code.MODEL_DAMAGED, f"llama.cpp cannot load {path}: {error}", "ocg models verify") from None
        self._ends = frozenset({self._model.token_eos(), self._llama.llama_vocab_eot(self._model._model.vocab)})  # noqa: SLF001 - the one way to the vocabulary
        self._template = self._make_template()
        self._cancelled = threading.Event()
        # Asked by llama.cpp between the steps of a batch, so that a long prompt ends as promptly as an answer.
        self._abort = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)(lambda _: self._cancelled.is_set())
        self._llama.llama_set_abort_callback(
            self._model.ctx, ctypes.cast(self._abort, self._llama.ggml_abort_callback), None
        )

    def _make_template(self) -> Any:
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter  # noqa: PLC0415 - llama_cpp is imported by now

        text = self._model.metadata.get("tokenizer.chat_template")
        if not text:
            raise OcgError(Code.MODEL_DAMAGED, f"{self.name} has no chat template", "choose an instruction-tuned model")
        token = self._model.detokenize
        return Jinja2ChatFormatter(
            template=text,
            bos_token=token([self._model.token_bos()], special=True).decode("utf-8", "replace"),
            eos_token=token([self._model.token_eos()], special=True).decode("utf-8", "replace"),
            stop_token_ids=[self._model.token_eos()],
        )

    def close(self) -> None:
        """Free the model."""
        self._model.close()

    def run(
        self,
        messages: Sequence[dict[str, str]],
        sampling: Sampling,
        emit: Callable[[str], None],
        cancelled: threading.Event,
    ) -> Finish:
        """Generate an answer, giving its text to `emit` as it comes, until it ends or is cancelled.

        Raises CONTEXT_LENGTH with both numbers when the prompt leaves no room, CANCELLED when it was.
        """
        self._cancelled = cancelled
        prompt = self._prompt(messages)
        room = self._model.n_ctx() - len(prompt)
        if room <= 0:
            raise OcgError(
                Code.CONTEXT_LENGTH,
                f"the conversation has {len(prompt)} tokens, {self.name} takes {self._model.n_ctx()}",
                "send fewer or shorter messages",
            )
        if sampling.seed is not None:
            self._model.set_seed(sampling.seed)
        writer = _Writer(emit, sampling.stop)
        try:
            reason, count = self._generate(prompt, sampling, writer, min(sampling.max_tokens, room))
        except RuntimeError as error:
            self._model.reset()
            if not cancelled.is_set():
                raise OcgError(Code.INTERNAL, f"llama.cpp failed: {error}", "see the log of ocg-embedding") from error
        if cancelled.is_set():
            raise OcgError(Code.CANCELLED, "the generation was cancelled")
        writer.close()
        return Finish(reason, len(prompt), count)

    def _generate(self, prompt: list[int], sampling: Sampling, writer: "_Writer", limit: int) -> tuple[str, int]:
        """Write tokens until one ends the answer; return why it ended and how many there were."""
        count = 0
        for token in self._model.generate(
            prompt, temp=sampling.temperature, top_p=sampling.top_p, repeat_penalty=_REPEAT_PENALTY
        ):
            if self._cancelled.is_set() or token in self._ends:
                return "stop", count
            count += 1
            if writer.write(self._model.detokenize([token])):
                return "stop", count
            if count >= limit:
                break
        return "length", count

    def _prompt(self, messages: Sequence[dict[str, str]]) -> list[int]:
        try:
            made = self._template(messages=list(messages))
            data = made.prompt.encode("utf-8")
        except UnicodeEncodeError:
            raise OcgError(Code.INVALID_REQUEST, "a message has a lone surrogate", "send valid Unicode") from None
        except Exception as error:  # noqa: BLE001 - the template is the model's own program: it may raise whatever it likes
            raise OcgError(
                Code.INVALID_REQUEST, f"{self.name} cannot lay out these messages: {error}", "check their roles"
            ) from None
        tokens: list[int] = self._model.tokenize(data, add_bos=not made.added_special, special=True)
        return tokens


class _Writer:
    """Turns bytes into text and holds back what may be the beginning of a stop text."""

    def __init__(self, emit: Callable[[str], None], stop: tuple[str, ...]) -> None:
        self._emit = emit
        self._stop = stop
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def write(self, data: bytes) -> bool:
        """Take a token's bytes; return whether a stop text is complete."""
        self._held += self._decoder.decode(data)
        found = [at for at in (self._held.find(text) for text in self._stop) if at >= 0]
        if found:
            self._held = self._held[: min(found)]
            return True
        keep = self._beginning()
        self._give(len(self._held) - keep)
        return False

    def close(self) -> None:
        """Give what is left."""
        self._held += self._decoder.decode(b"", final=True)
        self._give(len(self._held))

    def _beginning(self) -> int:
        """How many characters at the end begin a stop text."""
        lengths = (n for text in self._stop for n in range(len(text) - 1, 0, -1) if self._held.endswith(text[:n]))
        return max(lengths, default=0)

    def _give(self, length: int) -> None:
        if length:
            self._emit(self._held[:length])
            self._held = self._held[length:]
