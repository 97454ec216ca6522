"""Sentences of a text, in English and Chinese."""

import re

_END = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s+|(?<=[\u3002\uff01\uff1f])|\n+")


def split(text: str) -> list[str]:
    """Part a text into its sentences, without the space between them."""
    return [one.strip() for one in _END.split(text) if one and one.strip()]


def few(text: str, chars: int) -> str:
    """Return the first sentences of a text, for a reader that follows no more; headings are left out."""
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    kept: list[str] = []
    for sentence in split(plain):
        chars -= len(sentence) + 1
        if chars < 0:
            break
        kept.append(sentence)
    return " ".join(kept)
