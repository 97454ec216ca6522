"""Which memory is the better answer: two rankings fused, weighed by age and importance, near-duplicates left out."""

import math
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ocg.agent.memory.records import memory_of
from ocg.agent.words import is_cjk, words
from ocg.protocol.messages import Memory

_DAY_S = 86400.0
_GOOD_SHARE = 0.5  # of a query's terms: a match by word alone
# The end of a sentence. A call after a digit may belong to what is said, as in `Otter7!`.
_END = re.compile(r"(?<=\w)[.。]$|(?<=[^\W\d_])[!\uff01]$")
_EXACT = re.compile('[`"\n]')


@dataclass(frozen=True, slots=True)
class Blend:
    """How the two rankings are fused for one kind of script, and how much of each is looked at.

    `words` counts for a memory that has all of a query's terms; for one that has fewer, times their share to the power
    of `trust`. What has less than `least_share` of them is not recalled, however similar it is.
    """

    words: float
    trust: float
    meaning: float
    depth: int
    least_share: float


@dataclass(frozen=True, slots=True)
class Weights:
    """How results are weighed. Measured by bench/memory.py on the half of its questions that is for tuning, recall@5.

    English, where vectors alone find 0.94 and words alone 0.41: plain fusion finds 0.86, since a chance match by one
    word counts as much as a good one; with a trust of 1 to 3 it is 0.94 to 0.95, for words from 0.3 to 1, for depths
    from 20 to 200, and for k from 5 to 60.

    Chinese, of which all-MiniLM-L6-v2 knows little (vectors alone 0.25, words alone 0.62): both find 0.71 with meaning
    at 0.2 or 0.3 (0.1: 0.70, 1: 0.49), trust up to 0.5 (1: 0.69), k of 60 (20: 0.69, 5: 0.66), and deep lists, as what
    is in both is then likely right (30: 0.63, 100: 0.69, 200: 0.73, at the price of time).

    To that model any two Chinese sentences are similar: of messages that no memory has to do with, each had three added
    at a cosine of 0.3. With a least share of 0.2 it is 0.75 of one, and the answer is among the three for 0.56 of the
    questions instead of 0.60 (0.1: 1.8 and 0.60; 0.25: 0.4 and 0.51). In English it is 1.2 of one, and 0.88.

    Age puts the newer of two facts before the older in 14 of 14 pairs (0.02: 11, none: 7). Neither it nor importance
    changes the recall up to 0.05; 0.2 of either costs 0.01 to 0.02.
    """

    rank_k: int = 60
    other: Blend = Blend(words=0.5, trust=2.0, meaning=1.0, depth=50, least_share=0.0)
    cjk: Blend = Blend(words=1.0, trust=0.5, meaning=0.2, depth=150, least_share=0.2)
    half_life_days: float = 365.0
    age: float = 0.05
    importance: float = 0.02

    def blend(self, query: str) -> Blend:
        """Return how the rankings for a query are fused."""
        return self.cjk if is_mainly_cjk(query) else self.other


@dataclass(frozen=True, slots=True)
class Found:
    """A memory's cosine to the query, if known, and the share of the query's terms it has."""

    memory: Memory
    cosine: float | None
    share: float

    def is_near(self, min_score: float, least_share: float = 0.0) -> bool:
        """Whether it belongs to the query: it has half of the terms, or is similar and has the least share of them."""
        if self.cosine is None:
            return self.share >= (least_share or _GOOD_SHARE)
        return self.share >= _GOOD_SHARE or (self.cosine >= min_score and self.share >= least_share)


def fuse(rankings: Iterable[Mapping[str, float]], rank_k: int = 60) -> dict[str, float]:
    """Fuse rankings, best first, in which each entry has a weight: it scores the sum of weight / (k + rank).

    Reciprocal rank fusion: Cormack, Clarke, Büttcher 2009.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, (entry, weight) in enumerate(ranking.items(), 1):
            scores[entry] = scores.get(entry, 0.0) + weight / (rank_k + rank)
    return scores


def best(
    query: str,
    by_meaning: Mapping[str, float],
    by_word: Mapping[str, float],
    rows: Mapping[str, sqlite3.Row],
    *,
    now: float,
    weights: Weights,
) -> Iterator[Found]:
    """Give what was found, best first. A score is the cosine or, where none is known, the share of the terms."""
    blend = weights.blend(query)
    near = dict.fromkeys(by_meaning, blend.meaning)
    worded = {one: blend.words * share**blend.trust for one, share in by_word.items()}
    scores = fuse([near, worded], weights.rank_k)
    there = [one for one in scores if one in rows]
    for one in sorted(there, key=lambda one: -scores[one] * _worth(rows[one], now, weights)):
        cosine, share = by_meaning.get(one), by_word.get(one, 0.0)
        yield Found(memory_of(rows[one], share if cosine is None else cosine), cosine, share)


def _worth(row: sqlite3.Row, now: float, weights: Weights) -> float:
    """Return a factor near 1: less for what is old, more for what is important."""
    age_days = max(0.0, now - row["updated_at"]) / _DAY_S
    fresh = math.exp2(-age_days / weights.half_life_days)
    return float((1.0 - weights.age * (1.0 - fresh)) * (1.0 + weights.importance * (row["importance"] - 0.5)))


def without_repeats(found: Iterable[Found]) -> Iterator[Found]:
    """Leave out what says the same as a better one."""
    kept: set[tuple[str, ...]] = set()
    for one in found:
        said = wording(one.memory.text)
        if said not in kept:
            kept.add(said)
            yield one


def wording(text: str) -> tuple[str, ...]:
    """Return what two texts share that state the same in the same words: all but the sentence's dress.

    That is `the`, the capital letter of the first word, the point or call at the end, and n't for not. No word more or
    less, and no other order: to all-MiniLM-L6-v2 "Anna owes Ben 50" and "Ben owes Anna 50" are the same by 0.98, two
    sentences with invoices@acme.com and invoices@acme-billing.com too, and 绿茶 and 红茶 by 1.00. A text with code or
    quotes has no dress.
    """
    if _EXACT.search(text):
        return (text,)
    first, *others = re.sub("n['\u2019]t\\b", " not", _END.sub("", text.strip())).split() or [""]
    plain = first.casefold() if first.istitle() else first
    return tuple(word for word in (plain, *others) if word != "the")


def is_mainly_cjk(text: str) -> bool:
    """Whether most of a text's words are Chinese, Japanese or Korean characters."""
    found = words(text)
    return sum(map(is_cjk, found)) * 2 > len(found)
