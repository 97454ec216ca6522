"""The words a memory is found by.

Chinese, Japanese and Korean run words together: each character is indexed alone, and a query asks for pairs of
neighbours, which is nearly as good as knowing the words, and for single characters, which are shared by words that mean
alike (recall@5 by words, on the half of bench/memory.py's Chinese questions that is for tuning: 0.45 by pairs alone,
0.62 with both). A name from code (`getUserName`, `user_name`, `api-v2.3`) is found by its parts and, however it is
written, by the whole.
"""

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+(?:[-./:@#]+[^\W{_CJK}]+)*")
_PIECE = re.compile(r"[^\W_]+")
# Where one part of getUserName or HTTPServer ends and the next begins.
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Raised whenever `words` splits in another way: memories that an older one has split are split again.
VERSION = 2
_MAX_TERMS = 48
# Words that say nothing of what a text is about; without them what is left would drown in chance matches.
_SMALL_WORDS = """
    a about all also am an and any are as at be been but by can could did do does for from get give had has have he
    hello her hey hi him his how i if in is it its just know let like ll may me might mine must my of on or our please
    re remember s shall she should so some t tell than thank thanks that the their them then there these they this
    those to us user ve was want we were what when where which who whom whose why will with would you your
"""
_STOP_CHARACTERS = frozenset(
    "的了是在我你您他她它们吗呢吧啊么什怎哪谁有和与跟就也都很请把被这那个会要不几多少时候样该做给来去上下"
    "里中到从为以可能让"
)


def words(text: str) -> list[str]:
    """Split a text into words: in lower case, without accents and plurals, CJK characters each alone.

    After the parts of a name that is made of several comes the whole, without what stands between them.
    """
    plain = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    return [word for token in _TOKEN.findall(unicodedata.normalize("NFC", plain)) for word in _parts(token)]


def terms(query: str) -> list[str]:
    """Return what to look for: words that carry meaning; of CJK characters pairs, with a space between, and each."""
    split = words(query)
    found = [*_terms(split), *(one for one in split if is_cjk(one) and one not in _STOP_CHARACTERS)]
    if not found:  # nothing but small words: better they than nothing
        found = split
    return list(dict.fromkeys(found))[:_MAX_TERMS]


def share(wanted: list[str], text: str) -> float:
    """Return which part of the terms is in a text that was split by `words` and joined by spaces."""
    padded = f" {text} "
    return sum(f" {term} " in padded for term in wanted) / len(wanted) if wanted else 0.0


def _terms(tokens: list[str]) -> Iterator[str]:
    run: list[str] = []
    small = small_words()
    for token in [*tokens, ""]:
        if is_cjk(token) and token not in _STOP_CHARACTERS:
            run.append(token)
            continue
        yield from run if len(run) == 1 else map(" ".join, itertools.pairwise(run))
        run = []
        if token and token not in small and not is_cjk(token):
            yield token


def _parts(token: str) -> list[str]:
    parts = [part.casefold() for piece in _PIECE.findall(token) for part in _HUMP.split(piece)]
    whole = ["".join(parts)] if len(parts) > 1 else []
    return [_singular(part) for part in parts] + whole


def is_cjk(token: str) -> bool:
    """Whether a word is a Chinese, Japanese or Korean character."""
    return len(token) == 1 and re.match(rf"[{_CJK}]", token) is not None


@functools.cache
def small_words() -> frozenset[str]:
    """Return the words that say nothing of what a text is about."""
    return frozenset(words(_SMALL_WORDS))


def _singular(word: str) -> str:
    """Cut an English plural (Harman 1991, the S-stemmer); the same for what is kept and what is asked."""
    if len(word) <= 3 or not word.isascii() or not word.endswith("s") or word.endswith(("ss", "us")):  # noqa: PLR2004 - as there
        return word
    return f"{word[:-3]}y" if word.endswith("ies") else word[:-1]
