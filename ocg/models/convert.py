"""all-MiniLM-L6-v2 and its like, from a sentence-transformers folder to GGUF.

Architecture `bert` as llama.cpp reads it (gguf's tensor name map; keys as in llama.cpp's docs and gguf.constants):
WordPiece tokens that begin a word carry U+2581, those with `##` lose it; mean pooling; Q8_0 for the large matrices,
F32 for vectors and for what is added to a sum (position and token type embeddings). The output depends on nothing
but the input, so that its checksum can stand in the catalog.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PHANTOM_SPACE = "\u2581"
_CLS, _SEP, _PAD, _MASK, _UNKNOWN = "[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]"
_DROPPED = ("pooler.", "embeddings.position_ids")
_ALWAYS_F32 = ("position_embd.weight", "token_types.weight")
_NORMAL, _CONTROL = 1, 3  # gguf.TokenType


def convert(folder: Path, output: Path, *, name: str, half: bool = False) -> None:
    """Write `folder`'s model to `output`, in Q8_0, or in F16 when `half`."""
    import gguf  # noqa: PLC0415 - numpy and all it brings take 0.15 s

    shape = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(output, "bert")
    _describe(writer, shape, name, gguf.LlamaFileType.MOSTLY_F16 if half else gguf.LlamaFileType.MOSTLY_Q8_0)
    _add_tokens(writer, json.loads((folder / "tokenizer.json").read_text()), shape["vocab_size"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, shape["num_hidden_layers"])
    for source, tensor in read_safetensors(folder / "model.safetensors"):
        if source.startswith(_DROPPED):
            continue
        target = names.get_name(source, (".weight", ".bias"))
        if target is None:
            raise ValueError(f"the tensor {source} has no place in a bert GGUF")
        _add_tensor(writer, target, tensor, half=half)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _describe(writer: Any, shape: dict[str, Any], name: str, file_type: int) -> None:
    import gguf  # noqa: PLC0415 - as above

    writer.add_name(name)
    writer.add_file_type(file_type)
    writer.add_context_length(shape["max_position_embeddings"])
    writer.add_embedding_length(shape["hidden_size"])
    writer.add_feed_forward_length(shape["intermediate_size"])
    writer.add_block_count(shape["num_hidden_layers"])
    writer.add_head_count(shape["num_attention_heads"])
    writer.add_layer_norm_eps(shape["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)


def _add_tokens(writer: Any, tokenizer: dict[str, Any], size: int) -> None:
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    special = {token["content"] for token in tokenizer["added_tokens"]}
    tokens = [token for token, _ in sorted(vocabulary.items(), key=lambda item: item[1])]
    if len(tokens) != size:
        raise ValueError(f"the tokenizer has {len(tokens)} tokens, the model {size}")
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(2)
    writer.add_token_list([token if token in special else _word_piece(token) for token in tokens])
    writer.add_token_types([_CONTROL if token in special else _NORMAL for token in tokens])
    writer.add_bos_token_id(vocabulary[_CLS])
    writer.add_eos_token_id(vocabulary[_SEP])
    writer.add_sep_token_id(vocabulary[_SEP])
    writer.add_unk_token_id(vocabulary[_UNKNOWN])
    writer.add_pad_token_id(vocabulary[_PAD])
    writer.add_mask_token_id(vocabulary[_MASK])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)


def _word_piece(token: str) -> str:
    return token[2:] if token.startswith("##") else _PHANTOM_SPACE + token


def _add_tensor(writer: Any, name: str, tensor: Any, *, half: bool) -> None:
    import gguf  # noqa: PLC0415 - as above
    import numpy as np  # noqa: PLC0415 - as above

    data = np.ascontiguousarray(tensor, np.float32)
    if data.ndim == 1 or name in _ALWAYS_F32:
        writer.add_tensor(name, data)
    elif half:
        writer.add_tensor(name, data.astype(np.float16))
    else:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)


def read_safetensors(path: Path) -> Iterator[tuple[str, Any]]:
    """Give each tensor by name, memory-mapped.

    The format: a little-endian u64 header length, a JSON header, the data
    (https://huggingface.co/docs/safetensors).
    """
    import numpy as np  # noqa: PLC0415 - as above

    kinds = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header: dict[str, Any] = json.loads(stream.read(length))
    data = np.memmap(path, np.uint8, "r", offset=8 + length)
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            yield name, data[begin:end].view(kinds[entry["dtype"]]).reshape(entry["shape"])
