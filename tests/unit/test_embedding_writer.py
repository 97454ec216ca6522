"""A model's bytes become text: signs are whole, stop texts never seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocg.embedding.writer import Writer


def _write(pieces: list[bytes], stop: tuple[str, ...]) -> tuple[list[str], Writer]:
    given_out: list[str] = []
    writer = Writer(given_out.append, stop)
    for piece in pieces:
        if writer.write(piece):
            break
    writer.close()
    return given_out, writer


def test_a_sign_cut_in_two_comes_whole() -> None:
    cat = "猫".encode()
    assert _write([cat[:1], cat[1:], b"!"], ())[0] == ["猫", "!"]


def test_half_a_sign_at_the_end_is_marked_as_such() -> None:
    assert "".join(_write([b"a", "猫".encode()[:2]], ())[0]) == "a\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("pieces", [[b"one EN", b"D two"], [b"one END two"], [b"one E", b"N", b"D"]])
def test_a_stop_text_ends_it_wherever_it_is_cut(pieces: list[bytes]) -> None:
    given_out, writer = _write(pieces, ("END", "never"))
    assert "".join(given_out) == writer.text == "one "
    assert writer.found == "END"


def test_what_only_looks_like_a_stop_text_is_given_after_all() -> None:
    given_out, writer = _write([b"EN", b"OUGH"], ("END",))
    assert given_out == ["ENOUGH"]
    assert writer.found is None


def test_the_first_of_two_stop_texts_counts() -> None:
    assert _write([b"a B A"], ("A", "B"))[1].text == "a "


@given(st.text(), st.text(min_size=1, max_size=3), st.integers(1, 5))
def test_however_it_is_cut_the_text_is_all_up_to_the_stop(text: str, stop: str, size: int) -> None:
    data = text.encode()
    given_out, _ = _write([data[at : at + size] for at in range(0, len(data), size)], (stop,))
    assert "".join(given_out) == text.split(stop, maxsplit=1)[0]
