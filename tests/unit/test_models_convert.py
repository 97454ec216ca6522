"""Conversion: a BERT becomes a GGUF that depends on nothing but its input, and means the same."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from ocg.models.convert import convert
from tests.conftest import MODELS
from tests.unit.models.samples import expected_tensors, write_bert


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return write_bert(tmp_path / "bert")


def _fields(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, bert: Path) -> None:
    for name in ("one", "two"):
        convert(bert, tmp_path / name, name="tiny")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_tokens_that_begin_a_word_are_marked_and_the_others_lose_their_hashes(tmp_path: Path, bert: Path) -> None:
    convert(bert, tmp_path / "out", name="tiny")
    fields = _fields(tmp_path / "out")
    assert fields["tokenizer.ggml.tokens"][:8] == [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        *("\u2581movie", "s", "\u2581a"),
    ]
    assert fields["tokenizer.ggml.token_type"][:6] == [3, 3, 3, 3, 3, 1]
    assert fields["tokenizer.ggml.bos_token_id"] == 2
    assert fields["bert.pooling_type"] == gguf.PoolingType.MEAN
    assert fields["bert.attention.causal"] is False


@pytest.mark.parametrize(("half", "large"), [(False, "Q8_0"), (True, "F16")])
def test_large_matrices_are_small_numbers_and_the_rest_stays_exact(
    tmp_path: Path, bert: Path, *, half: bool, large: str
) -> None:
    convert(bert, tmp_path / "out", name="tiny", half=half)
    tensors = {one.name: one for one in gguf.GGUFReader(tmp_path / "out").tensors}
    assert not [name for name in tensors if "pool" in name or "position_ids" in name]
    assert len(tensors) == len(expected_tensors()) - 3
    for name, tensor in tensors.items():
        exact = len(tensor.shape) == 1 or name in {"position_embd.weight", "token_types.weight"}
        assert tensor.tensor_type.name == ("F32" if exact else large), name


@pytest.mark.parametrize(("half", "error"), [(False, 0.005), (True, 0.0005)])
def test_weights_stay_what_they_were(tmp_path: Path, bert: Path, *, half: bool, error: float) -> None:
    convert(bert, tmp_path / "out", name="tiny", half=half)
    tensors = {one.name: one for one in gguf.GGUFReader(tmp_path / "out").tensors}
    before = expected_tensors()
    for source, target in (
        ("embeddings.word_embeddings.weight", "token_embd.weight"),
        ("encoder.layer.0.attention.self.query.weight", "blk.0.attn_q.weight"),
        ("encoder.layer.0.output.dense.weight", "blk.0.ffn_down.weight"),
    ):
        after = gguf.quants.dequantize(tensors[target].data, tensors[target].tensor_type)
        assert np.abs(after - before[source]).max() < error, target


def test_a_tensor_without_a_place_is_an_error(tmp_path: Path, bert: Path) -> None:
    file = bert / "model.safetensors"
    file.write_bytes(file.read_bytes().replace(b"embeddings.LayerNorm.bias", b"embeddings.OtherNorm.bias"))
    with pytest.raises(ValueError, match=r"embeddings.OtherNorm.bias has no place"):
        convert(bert, tmp_path / "out", name="tiny")


def test_the_default_embedding_model_knows_that_two_sentences_mean_the_same() -> None:
    """0.89 is what sentence-transformers itself documents for this pair."""
    import llama_cpp

    model = llama_cpp.Llama(str(MODELS / "minilm.gguf"), embedding=True, verbose=False, n_ctx=512)
    one, two = (
        np.array(model.embed(text, normalize=True))
        for text in ("The new movie is awesome", "The new movie is so great")
    )
    model.close()
    assert one.shape == (384,)
    assert float(one @ two) == pytest.approx(0.89, abs=0.01)
