"""Texts to count, parted into requests of a bounded size."""

from hypothesis import given
from hypothesis import strategies as st

from ocg.agent.providers.local import batches
from ocg.protocol.tokens import MAX_TEXTS


@given(st.lists(st.text(max_size=5), max_size=30))
def test_all_texts_come_in_their_order(texts: list[str]) -> None:
    assert [text for batch in batches(texts) for text in batch] == texts


def test_no_request_is_too_large() -> None:
    assert [len(batch) for batch in batches(["x"] * (MAX_TEXTS + 1))] == [MAX_TEXTS, 1]
    sizes = [sum(map(len, batch)) for batch in batches(["x" * (1 << 20)] * 9)]
    assert sum(sizes) == 9 << 20
    assert max(sizes) <= 4 << 20


def test_a_text_that_is_no_unicode_is_counted_all_the_same() -> None:
    assert list(batches(["a\ud800b"])) == [["a?b"]]
