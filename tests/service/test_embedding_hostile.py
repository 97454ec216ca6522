"""What nobody should send, but somebody will: each is answered or refused with the reason, and the service goes on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.service.embedding import Service, environment, serving

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIB = 1 << 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("hostile")
    with serving(folder, environment(folder)) as started:
        yield started


@pytest.fixture(scope="module")
def ordinary(service: Service) -> "NDArray[np.float32]":
    """The vector of an ordinary text, before anything happened."""
    return service.embed("an ordinary text")


@pytest.fixture(autouse=True)
def alive_and_right_afterwards(service: Service, ordinary: "NDArray[np.float32]") -> Iterator[None]:
    yield
    assert service.process.popen.poll() is None
    assert _cosine(service.embed("an ordinary text"), ordinary) > 0.9999
    assert _cosine(service.embed("the stock market fell"), ordinary) < 0.5


def _cosine(one: "NDArray[np.float32]", other: "NDArray[np.float32]") -> float:
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def _refused(service: Service, body: Any, code: str = "invalid_request") -> dict[str, Any]:
    """The error of a request that must be refused."""
    status, found = service.ask("/v1/embeddings", body)
    assert status == 400, found
    error: dict[str, Any] = found["error"]
    assert error["code"] == code
    assert error["hint"]
    return error


@pytest.mark.parametrize("text", ["", " ", " \t\r\n\v\f", "\u00a0\u2003\u3000"])
def test_a_text_of_nothing_is_refused_by_its_place(service: Service, text: str) -> None:
    assert "text 0 is empty" in _refused(service, {"input": text})["message"]
    assert "text 2 is empty" in _refused(service, {"input": ["one", "two", text, "four"]})["message"]


def test_a_text_of_10_mb_is_refused_with_its_size_and_the_limit(service: Service) -> None:
    message = _refused(service, {"input": ["short", "word " * (2 * MIB)]})["message"]
    assert "text 1" in message
    assert str(10 * MIB) in message
    assert str(MIB) in message


@pytest.mark.timeout(300)
def test_a_list_of_10_000_texts_works(service: Service) -> None:
    status, found = service.ask("/v1/embeddings", {"input": [f"item {n}" for n in range(10_000)]}, timeout_s=240)
    assert status == 200
    assert [one["index"] for one in found["data"]] == list(range(10_000))
    assert found["usage"]["prompt_tokens"] >= 40_000
    for at in (0, 4999, 9999):
        assert _cosine(np.array(found["data"][at]["embedding"]), service.embed(f"item {at}")) > 0.999


def test_a_list_of_10_001_texts_is_refused_with_its_length_and_the_limit(service: Service) -> None:
    error = _refused(service, {"input": ["a"] * 10_001})
    assert "10001" in error["message"]
    assert "10000" in error["message"]
    assert error["param"] == "input"


def test_nul_bytes_neither_end_a_text_nor_count(service: Service) -> None:
    """The original drops them, too."""
    whole = service.embed("in\0side a\0 text")
    assert _cosine(whole, service.embed("inside a text")) > 0.9999
    assert _cosine(whole, service.embed("in")) < 0.9
    assert np.isfinite(service.embed("\0\0\0")).all()


@pytest.mark.parametrize(
    "body",
    [
        rb'{"input": "\ud800"}',
        rb'{"input": ["fine", "half a pair \udc00 of two"]}',
        rb'{"input": "\ude00\ud83d"}',
        b'{"input": "\xed\xa0\x80"}',
        b'{"input": "\xff\xfe"}',
    ],
)
def test_what_is_no_unicode_is_refused(service: Service, body: bytes) -> None:
    _refused(service, body)


def test_a_pair_of_surrogates_is_one_character(service: Service) -> None:
    status, found = service.ask("/v1/embeddings", rb'{"input": "party \ud83c\udf89"}')
    assert status == 200
    assert _cosine(np.array(found["data"][0]["embedding"]), service.embed("party 🎉")) > 0.9999


@pytest.mark.parametrize(
    "text",
    [
        "中文测试是今天天气很好。",
        "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
        "\u200d\ufe0f",  # what joins emoji, with none to join
        "\ufffd\uffff\U0010ffff",
        "e" + "\u0301" * 100_000,
        "<script>alert(1)</script>'; DROP TABLE vectors; --",
        "[CLS][SEP][MASK][PAD][UNK]",
        "%s%n{0}${jndi:ldap://x}",
        "👍" * (MIB // 4),  # a word that the vocabulary has not, however long, is one [UNK]
    ],
)
def test_whatever_is_unicode_has_a_vector_of_length_1(service: Service, text: str) -> None:
    vector = service.embed(text)
    assert vector.shape == (1, 384)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("character", ["x", "漢", "-"])
def test_a_megabyte_without_a_space_is_refused_with_both_numbers(service: Service, character: str) -> None:
    text = character * (MIB // len(character.encode()))
    message = _refused(service, {"input": text}, "context_length_exceeded")["message"]
    assert int(message.split("has ")[1].split()[0]) > 512
    assert "minilm takes 512" in message


def test_a_text_over_the_context_is_refused_with_both_numbers(service: Service) -> None:
    message = _refused(service, {"input": ["short", "word " * 1000]}, "context_length_exceeded")["message"]
    assert "text 1 has 1002 tokens, minilm takes 512" in message
    _refused(service, {"input": "word " * 511, "truncate": False}, "context_length_exceeded")


class TestTruncate:
    """`"truncate": true` asks for the vector of a long text's beginning."""

    WORDS = ("tree", "house", "river", "stone", "bird", "night", "bread", "song", "glass", "winter")  # a token each

    def _text(self, words: int) -> str:
        return " ".join(self.WORDS[at * at % 10] for at in range(words))

    def test_it_is_the_vector_of_as_many_tokens_as_fit(self, service: Service) -> None:
        status, found = service.ask("/v1/embeddings", {"input": self._text(510)})
        assert (status, found["usage"]["prompt_tokens"]) == (200, 512)
        fits = np.array(found["data"][0]["embedding"])
        for words in (511, 700, 100_000):
            status, found = service.ask("/v1/embeddings", {"input": self._text(words), "truncate": True})
            assert status == 200, found
            assert _cosine(np.array(found["data"][0]["embedding"]), fits) > 0.9999
            assert found["usage"]["prompt_tokens"] == 512

    def test_it_changes_nothing_for_what_fits(self, service: Service) -> None:
        for text in ("a short text", self._text(510)):
            assert _cosine(service.embed(text, truncate=True), service.embed(text)) > 0.9999

    def test_a_cut_vector_is_not_remembered_for_who_asks_for_the_whole(self, service: Service) -> None:
        text = self._text(600)
        assert service.embed("short", text, truncate=True).shape == (2, 384)
        _refused(service, {"input": text}, "context_length_exceeded")

    def test_other_values_are_refused(self, service: Service) -> None:
        assert _refused(service, {"input": "a", "truncate": "END"})["param"] == "truncate"


class TestOpenAI:
    """What OpenAI's API has beside."""

    @pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]], ["text", 4], 7, None, {"text": "a"}])
    def test_token_arrays_and_other_kinds_are_refused_clearly(self, service: Service, tokens: Any) -> None:
        error = _refused(service, {"input": tokens})
        assert "`str" in error["message"]
        assert error["param"].startswith("input")

    def test_dimensions_that_the_model_has_are_fine(self, service: Service) -> None:
        assert service.embed("a", dimensions=384).shape == (1, 384)
        assert service.embed("a", dimensions=None).shape == (1, 384)

    @pytest.mark.parametrize("dimensions", [128, 385, 1 << 40])
    def test_dimensions_that_it_has_not_are_refused_with_both_numbers(self, service: Service, dimensions: int) -> None:
        """A vector of another length than was asked for would be found out much later."""
        error = _refused(service, {"input": "a", "dimensions": dimensions})
        assert str(dimensions) in error["message"]
        assert "384" in error["message"]
        assert error["param"] == "dimensions"

    @pytest.mark.parametrize("dimensions", [0, -1, "384", 1.5])
    def test_dimensions_that_are_no_number_of_them_are_refused(self, service: Service, dimensions: Any) -> None:
        assert _refused(service, {"input": "a", "dimensions": dimensions})["param"] == "dimensions"

    def test_user_is_taken_and_changes_nothing(self, service: Service) -> None:
        assert _cosine(service.embed("a text", user="someone"), service.embed("a text")) > 0.9999


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"input": []}', b"[" * 100_000, b'{"input": NaN}', b'{"input": "a"']
)
def test_what_is_no_request_is_refused(service: Service, body: bytes) -> None:
    _refused(service, body)
