"""Text out of a chat model, token by token, in the thread that owns the model."""

import ctypes
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocg.embedding.form import Form
from ocg.embedding.layout import CALL_BEGIN, Layout, Messages
from ocg.embedding.llama import damaged, library, trained_context
from ocg.embedding.writer import Writer
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
class Asked:
    """What to answer, and how."""

    messages: Messages
    sampling: Sampling
    form: Form


@dataclass(frozen=True, slots=True)
class Call:
    """A tool the model calls; `arguments` is JSON."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Why a generation ended (`stop`, `length` or `tool_calls`), and what it took."""

    reason: str
    prompt_tokens: int
    completion_tokens: int


Piece = str | Call | Finish
Emit = Callable[[str | Call], None]


class Generator:
    """One loaded chat model; it calls `beat` as it makes progress."""

    def __init__(self, path: Path, *, threads: int, beat: Callable[[], None]) -> None:
        self._llama = library()
        self.name = path.stem
        try:
            self._model = self._llama.Llama(
                str(path),
                n_ctx=min(trained_context(path), MAX_CONTEXT),
                n_batch=_BATCH,
                n_gpu_layers=-1,  # all, where llama.cpp was compiled for a GPU
                n_threads=threads,
                n_threads_batch=threads,
                flash_attn=True,
                verbose=False,
            )
        except (ValueError, RuntimeError) as error:
            raise damaged(path, str(error)) from None
        self.context: int = self._model.n_ctx()
        self._vocabulary = self._model._model.vocab  # noqa: SLF001 - the one way to it
        self._ends = frozenset({self._model.token_eos(), self._llama.llama_vocab_eot(self._vocabulary)})
        self._layout = Layout(self._model, self.name)
        self._cancelled = threading.Event()
        self._beat = beat
        # Asked by llama.cpp between the steps of a batch, so that a long prompt ends as promptly as an answer.
        self._abort = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)(self._must_end)
        self._llama.llama_set_abort_callback(
            self._model.ctx, ctypes.cast(self._abort, self._llama.ggml_abort_callback), None
        )

    def _must_end(self, _: ctypes.c_void_p) -> bool:
        """Tell whether to abort; being asked is progress."""
        self._beat()
        return self._cancelled.is_set()

    def close(self) -> None:
        """Free the model."""
        self._model.close()

    def run(self, asked: Asked, emit: Emit, cancelled: threading.Event) -> Finish:
        """Generate an answer, giving what it is made of to `emit` as it comes, until it ends or is cancelled.

        Raises CONTEXT_LENGTH with both numbers when the prompt leaves no room, CANCELLED when it was.
        """
        self._cancelled = cancelled
        if cancelled.is_set():  # while it waited in the queue
            raise OcgError(Code.CANCELLED, "the generation was cancelled")
        prompt = self._layout.prompt(asked.messages, asked.form)
        if len(prompt) >= self.context:
            raise OcgError(
                Code.CONTEXT_LENGTH,
                f"the conversation has {len(prompt)} tokens, {self.name} takes {self.context}",
                "send fewer or shorter messages",
                param="messages",
            )
        # The model keeps its seed, so without one the last caller's would be used again.
        seed = asked.sampling.seed
        self._model.set_seed(self._llama.LLAMA_DEFAULT_SEED if seed is None else seed)
        try:
            finish = self._answer(prompt, asked, emit)
        except RuntimeError as error:
            self._model.reset()
            if not cancelled.is_set():
                raise OcgError(Code.INTERNAL, f"llama.cpp failed: {error}", "see the log of ocg-embedding") from error
        if cancelled.is_set():
            raise OcgError(Code.CANCELLED, "the generation was cancelled")
        return finish

    def _answer(self, prompt: list[int], asked: Asked, emit: Emit) -> Finish:
        form, sampling = asked.form, asked.sampling
        writer = Writer(emit, (*sampling.stop, CALL_BEGIN) if form.tools else sampling.stop)
        count = 0
        if not form.must_call:
            reason, count = self._generate(prompt, sampling, writer, sampling.max_tokens, form.grammar)
            writer.close()
            if writer.found != CALL_BEGIN:
                return Finish(reason, len(prompt), count)
        # From here on it is a call, and a grammar sees to it that it is one of a tool there is.
        begun = prompt + self._layout.tokens(f"{writer.text}{CALL_BEGIN}\n".encode())
        reason, more = self._call(begun, sampling, sampling.max_tokens - count, form, emit)
        return Finish(reason, len(prompt), count + more)

    def _call(self, prompt: list[int], sampling: Sampling, limit: int, form: Form, emit: Emit) -> tuple[str, int]:
        written = Writer(lambda _: None, ())
        reason, count = self._generate(prompt, sampling, written, limit, form.call_grammar())
        written.close()
        if reason != "stop" or self._cancelled.is_set():
            return reason, count
        try:
            made = json.loads(written.text)
        except (ValueError, RecursionError) as error:  # lists in lists without end
            raise OcgError(Code.INTERNAL, f"{self.name} wrote a call that cannot be read: {error}") from None
        emit(Call(made["name"], json.dumps(made["arguments"], ensure_ascii=False)))
        return "tool_calls", count

    def _generate(
        self, prompt: list[int], sampling: Sampling, writer: Writer, limit: int, grammar: str | None
    ) -> tuple[str, int]:
        """Write tokens until one ends the answer; return why it ended and how many there were."""
        count, limit = 0, min(limit, self.context - len(prompt))
        if limit <= 0:
            return "length", 0
        for token in self._model.generate(
            prompt,
            temp=sampling.temperature,
            top_p=sampling.top_p,
            # JSON repeats its quotes and braces by nature.
            repeat_penalty=_REPEAT_PENALTY if grammar is None else 1.0,
            grammar=self._checked(grammar),
        ):
            if self._cancelled.is_set() or token in self._ends:
                return "stop", count
            count += 1
            if writer.write(self._model.detokenize([token])):
                return "stop", count
            if count >= limit:
                break
        return "length", count

    def _checked(self, grammar: str | None) -> Any:
        """Wrap a grammar. Raises INVALID_REQUEST when llama.cpp will not have it."""
        if grammar is None:
            return None
        # llama-cpp-python does not look whether it got a sampler, and crashes without one.
        sampler = self._llama.llama_sampler_init_grammar(self._vocabulary, grammar.encode(), b"root")
        if not sampler:
            raise OcgError(Code.INVALID_REQUEST, f"{self.name} cannot follow the JSON schema", "send a simpler one")
        self._llama.llama_sampler_free(sampler)
        return self._llama.LlamaGrammar.from_string(grammar)
