"""Tiny models, made here: a GGUF file, and the folder of a BERT as sentence-transformers keeps it."""

import hashlib
import json
import struct
from pathlib import Path

import gguf
import numpy as np

from ocg.models.catalog import Model, Url, Wheel

# 64 letters' worth of tokens is enough for a header with every kind of value in it.
_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "movie", "##s", "a", "great", "##ness"]
_HIDDEN, _LAYERS, _POSITIONS = 32, 1, 16


def write_gguf(path: Path, *, weights: int = 262_144) -> Path:
    """Write a GGUF of about a MiB, with a string, numbers, arrays and two tensors."""
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("tiny")
    writer.add_context_length(16)
    writer.add_token_list(_WORDS)
    writer.add_token_types([1] * len(_WORDS))
    writer.add_layer_norm_eps(1e-12)
    rng = np.random.default_rng(1)
    writer.add_tensor("token_embd.weight", rng.random((weights // 32, 32), np.float32))
    block = gguf.quants.quantize(rng.random((8, 32), np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("blk.0.ffn_up.weight", block, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def model(path: Path, source: Url | Wheel, *, name: str = "tiny") -> Model:
    """Give a catalog entry that the file fulfils."""
    return Model(
        name=name,
        kind="embedding",
        summary="a tiny model",
        licence="Apache-2.0",
        size_bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        context=16,
        source=source,
    )


def write_bert(folder: Path) -> Path:
    """Write config.json, tokenizer.json and model.safetensors of a BERT with one layer."""
    folder.mkdir()
    shape = {"vocab_size": len(_WORDS), "max_position_embeddings": _POSITIONS, "hidden_size": _HIDDEN}
    shape |= {"intermediate_size": 2 * _HIDDEN, "num_hidden_layers": _LAYERS, "num_attention_heads": 2}
    (folder / "config.json").write_text(json.dumps(shape | {"layer_norm_eps": 1e-12}))
    tokenizer = {"model": {"vocab": {word: at for at, word in enumerate(_WORDS)}}}
    added = [{"content": word} for word in _WORDS if word.startswith("[")]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | {"added_tokens": added}))
    _write_safetensors(folder / "model.safetensors", _tensors())
    return folder


def _tensors() -> dict[str, np.ndarray]:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(_WORDS), _HIDDEN),
        "embeddings.position_embeddings.weight": (_POSITIONS, _HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, _HIDDEN),
        "embeddings.LayerNorm.weight": (_HIDDEN,),
        "embeddings.LayerNorm.bias": (_HIDDEN,),
        "pooler.dense.weight": (_HIDDEN, _HIDDEN),
        "pooler.dense.bias": (_HIDDEN,),
    }
    layer = "encoder.layer.0"
    for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
        shapes |= {f"{layer}.{part}.weight": (_HIDDEN, _HIDDEN), f"{layer}.{part}.bias": (_HIDDEN,)}
    for part in ("attention.output.LayerNorm", "output.LayerNorm"):
        shapes |= {f"{layer}.{part}.weight": (_HIDDEN,), f"{layer}.{part}.bias": (_HIDDEN,)}
    shapes |= {f"{layer}.intermediate.dense.weight": (2 * _HIDDEN, _HIDDEN)}
    shapes |= {f"{layer}.intermediate.dense.bias": (2 * _HIDDEN,)}
    shapes |= {f"{layer}.output.dense.weight": (_HIDDEN, 2 * _HIDDEN), f"{layer}.output.dense.bias": (_HIDDEN,)}
    rng = np.random.default_rng(1)
    found: dict[str, np.ndarray] = {key: rng.random(shape, np.float32) for key, shape in shapes.items()}
    return found | {"embeddings.position_ids": np.arange(_POSITIONS, dtype=np.int64)[None]}


def _write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors.items():
        kind = "I64" if tensor.dtype == np.int64 else "F32"
        end = len(data) + tensor.nbytes
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [len(data), end]}
        data += tensor.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def expected_tensors() -> dict[str, np.ndarray]:
    """Give the tensors that are in the folder that write_bert writes."""
    return _tensors()
