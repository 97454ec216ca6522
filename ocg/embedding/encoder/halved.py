"""A small model's weights in the form that this CPU computes with fastest, made in memory of those in the file.

Without instructions for products of 8-bit numbers (VNNI) llama.cpp spends more time on unpacking Q8_0 than on the
products: measured on AVX2 with MiniLM, F16 does 1.2 times as many texts a second in batches of 128 tokens or with texts
of 200, and as many with a single one of 16. Each number of Q8_0 fits F16 to 3 digits, where Q8_0 itself kept 2; the
table of tokens, which is only looked up, stays as it is.
"""

import ctypes
import os
from typing import Any

from ocg.embedding.encoder.weights import Weights
from ocg.errors import Code, OcgError

_MAX_BYTES = 256 << 20  # twice as large in F16, and memory is what large models lack


def is_worthwhile(weights: Weights) -> bool:
    """Whether these weights are faster in F16 here."""
    llama = weights.llama
    description = ctypes.create_string_buffer(128)
    llama.llama_model_desc(weights.handle, description, len(description))
    is_small = llama.llama_model_size(weights.handle) <= _MAX_BYTES
    return is_small and description.value.endswith(b"Q8_0") and b"VNNI = 1" not in llama.llama_print_system_info()


def halve(weights: Weights, *, threads: int) -> Weights:
    """Return the same model in F16, in memory alone. Raises INTERNAL or MODEL_DAMAGED when llama.cpp cannot make it."""
    llama = weights.llama
    descriptor = os.memfd_create(f"{weights.name}-f16", os.MFD_CLOEXEC)
    try:
        made = f"/proc/self/fd/{descriptor}".encode()
        options = _options(llama, threads)
        if llama.llama_model_quantize(str(weights.path).encode(), made, ctypes.byref(options)):
            raise OcgError(Code.INTERNAL, f"llama.cpp cannot turn {weights.path} into F16")
        return weights.alike(made.decode())
    finally:
        os.close(descriptor)  # what is mapped stays


def _options(llama: Any, threads: int) -> Any:
    options = llama.llama_model_quantize_default_params()
    options.ftype = llama.LLAMA_FTYPE_MOSTLY_F16
    options.token_embedding_type = 8  # GGML_TYPE_Q8_0
    options.allow_requantize = True
    options.nthread = threads
    return options
