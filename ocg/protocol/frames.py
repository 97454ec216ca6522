"""Frames between the agent and a confined tool: a kind, a length, and as many bytes.

Only what takes no time to import is used: a tool's process begins with this.
"""

import struct

HEADER = struct.Struct("!cI")
MAX_BYTES = 1 << 20

# From the agent: what is asked, first of all; then a command's input, and its end, and signals to it (a byte each).
REQUEST, INPUT, INPUT_END, SIGNAL = b"q", b"i", b"c", b"k"
# From the tool: what a command writes as it comes; then, last of all, what came of it.
OUTPUT, ERRORS, RESULT, FAILURE = b"o", b"e", b"r", b"x"


def frame(kind: bytes, data: bytes = b"") -> bytes:
    """Write a frame."""
    return HEADER.pack(kind, len(data)) + data
