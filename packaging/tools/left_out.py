"""Distributions that others require for parts of theirs that nothing of OCG's imports; the packages do without."""

LEFT_OUT = (
    # pystemd.base and pystemd.futures; OCG has pystemd's D-Bus and journal alone (ocg/imports.py).
    "psutil",
    # gguf.utility and llama_cpp.llama_grammar, when they download; OCG downloads with aiohttp and pip.
    "requests",
    # cffi, when it reads C, which is done where a module is made that uses it; cryptography needs its backend alone.
    "pycparser",
    # requests.
    "certifi",
    "charset_normalizer",
    "urllib3",
)
