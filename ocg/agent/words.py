"""The words a memory is found by.

Chinese, Japanese and Korean run words together: each character is indexed alone, and a query asks for pairs of
neighbours, which is nearly as good as knowing the words.
"""

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_MAX_TERMS = 32
# Words that say nothing of what a text is about; without them what is left would drown in chance matches.
_SMALL_WORDS = """
    a about all also am an and any are as at be been but by can could did do does for from get give had has have he
    hello her hey hi him his how i if in is it its just know let like ll may me might mine must my of on or our please
    re remember s shall she should so some t tell than thank thanks that the their them then there these they this
    those to us user ve was want we were what when where which who whom whose why will with would you your
"""
_STOP_CHARACTERS = frozenset("的了是在我你您他她它们吗呢吧啊么什怎哪谁有和与跟就也都很请把被这那个会要不")


def words(text: str) -> list[str]:
    """Split a text into words: in lower case, without accents and plurals, CJK characters each alone."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    return [_singular(word) for word in _TOKEN.findall(unicodedata.normalize("NFC", plain).casefold())]


def terms(query: str) -> list[str]:
    """Return what to look for: words that carry meaning, and pairs of CJK neighbours, with a space between."""
    found = list(dict.fromkeys(_terms(words(query))))
    if not found:  # nothing but small words: better they than nothing
        found = list(dict.fromkeys(words(query)))
    return found[:_MAX_TERMS]


def share(wanted: list[str], text: str) -> float:
    """Return which part of the terms is in a text that was split by `words` and joined by spaces."""
    padded = f" {text} "
    return sum(f" {term} " in padded for term in wanted) / len(wanted) if wanted else 0.0


def _terms(tokens: list[str]) -> Iterator[str]:
    run: list[str] = []
    small = _small_words()
    for token in [*tokens, ""]:
        if _is_cjk(token) and token not in _STOP_CHARACTERS:
            run.append(token)
            continue
        yield from run if len(run) == 1 else map(" ".join, itertools.pairwise(run))
        run = []
        if token and token not in small and not _is_cjk(token):
            yield token


def _is_cjk(token: str) -> bool:
    return len(token) == 1 and re.match(rf"[{_CJK}]", token) is not None


@functools.cache
def _small_words() -> frozenset[str]:
    return frozenset(words(_SMALL_WORDS))


def _singular(word: str) -> str:
    """Cut an English plural (Harman 1991, the S-stemmer); the same for what is kept and what is asked."""
    if len(word) <= 3 or not word.isascii() or not word.endswith("s") or word.endswith(("ss", "us")):  # noqa: PLR2004 - as there
        return word
    return f"{word[:-3]}y" if word.endswith("ies") else word[:-1]
