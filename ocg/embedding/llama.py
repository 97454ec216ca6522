"""llama-cpp-python, imported in a worker thread (0.2 s) and made to log through us instead of to standard error."""

import ctypes
import functools
import logging
import os
from typing import Any

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
    return llama_cpp


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
