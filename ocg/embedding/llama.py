"""llama-cpp-python, imported in a worker thread (0.2 s) and made to log through us instead of to standard error."""

import ctypes
import functools
import logging
import os
from pathlib import Path
from typing import Any

from ocg.errors import Code, OcgError

CLOSE_S = 1.0  # what a stop waits for a thread of llama.cpp, which may be in the middle of a load

_log = logging.getLogger("ocg.embedding.llama")
_LEVELS = {
    3: logging.DEBUG,
    4: logging.ERROR,
}  # ggml_log_level WARN says what users cannot change, ERROR what they must


@functools.cache
def library() -> Any:
    """Import the package and route its log; every line of llama.cpp's is ours to filter from then on."""
    import llama_cpp  # noqa: PLC0415 - 0.2 s, so in the thread that needs it

    llama_cpp.llama_log_set(_callback(), ctypes.c_void_p(0))
    _load_variant(Path(llama_cpp.__file__).parent / "lib")
    return llama_cpp


def _load_variant(folder: Path) -> None:
    """Load the code for this CPU, where llama.cpp was built with one library for each kind (GGML_CPU_ALL_VARIANTS).

    The folder is named, for llama.cpp would look in that of the interpreter and in the current one.
    """
    variants = sorted(folder.glob("libggml-cpu-*.so"))
    if not variants:
        return
    # By libllama, which has its own libggml: another copy of that file would be another list of what is loaded.
    ctypes.CDLL(str(folder / "libllama.so")).ggml_backend_load_all_from_path(str(folder).encode())
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8")
    loaded = [path.stem.removeprefix("libggml-cpu-") for path in variants if f"{path}\n" in mapped]
    _log.info("llama.cpp computes with its code for %s", *(loaded or ["no CPU"]))


@functools.cache  # llama.cpp keeps only the address: whoever drops the object crashes it
def _callback() -> Any:
    import llama_cpp  # noqa: PLC0415 - as above

    def log(level: int, text: bytes, _: ctypes.c_void_p) -> None:
        line = text.decode("utf-8", "replace").strip()
        if line and line != ".":
            _log.log(_LEVELS.get(level, logging.DEBUG), "%s", line)

    return llama_cpp.llama_log_callback(log)


def thread_count(setting: int) -> int:
    """How many threads a model computes with: the setting, or the cores this process may use when it is 0."""
    return setting or len(os.sched_getaffinity(0))


def trained_context(path: Path) -> int:
    """Read how many tokens a model was trained for out of its metadata, before anything is allocated for them.

    Raises MODEL_DAMAGED.
    """
    llama = library()
    parameters = llama.llama_model_default_params()
    parameters.vocab_only = True
    model = llama.llama_model_load_from_file(str(path).encode(), parameters)
    if not model:
        raise damaged(path, "it has no readable header")
    try:
        architecture = _metadata(llama, model, "general.architecture")
        return int(_metadata(llama, model, f"{architecture}.context_length"))
    except ValueError:
        raise damaged(path, "it does not say its context length") from None
    finally:
        llama.llama_model_free(model)


def _metadata(llama: Any, model: Any, key: str) -> str:
    buffer = ctypes.create_string_buffer(256)
    llama.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace")


def damaged(path: Path, why: str) -> OcgError:
    """Make the error for a file that llama.cpp will not have."""
    return OcgError(
        Code.MODEL_DAMAGED, f"llama.cpp cannot load {path}: {why}", "ocg models verify, or choose another model"
    )
