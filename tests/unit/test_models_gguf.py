"""A GGUF file that is cut off, foreign or garbled is refused with a reason, before llama.cpp sees it."""

import random
import time
from pathlib import Path

import gguf as official
import pytest

from ocg.errors import Code, OcgError
from ocg.models import catalog, gguf
from tests.conftest import MODELS
from tests.unit.models.samples import write_gguf


@pytest.mark.parametrize("name", catalog.DEFAULTS)
def test_the_default_models_are_whole(name: str) -> None:
    gguf.check(MODELS / f"{name}.gguf", size_bytes=catalog.find(name).size_bytes)
    gguf.check_whole(MODELS / f"{name}.gguf")


@pytest.mark.parametrize("kept", [0, 10, 24, 100, 400, 600, -1000, -40])
def test_a_file_that_is_cut_off_anywhere_is_damaged(tmp_path: Path, kept: int) -> None:
    whole = write_gguf(tmp_path / "whole.gguf")
    gguf.check_whole(whole)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole.read_bytes()[:kept])
    with pytest.raises(OcgError, match="is damaged") as caught:
        gguf.check_whole(cut)
    assert caught.value.code is Code.MODEL_DAMAGED


@pytest.mark.parametrize(
    "content", [b"<!doctype html>" + b" " * 50, b"GGUF\x01" + b"\0" * 50, b"GGUF\x03" + b"\0" * 50]
)
def test_another_kind_of_file_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other.gguf").write_bytes(content)
    with pytest.raises(OcgError) as caught:
        gguf.check(tmp_path / "other.gguf")
    assert caught.value.code is Code.MODEL_DAMAGED


@pytest.mark.parametrize("start", [b"GGML\3", b"GGUF\1", b"GGUF\4"])
def test_a_foreign_magic_or_version_is_named_as_such(tmp_path: Path, start: bytes) -> None:
    whole = write_gguf(tmp_path / "whole.gguf")
    whole.write_bytes(start + whole.read_bytes()[5:])
    with pytest.raises(OcgError, match="it is not a GGUF file"):
        gguf.check(whole)


def test_a_wrong_size_is_said_with_both_numbers(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "whole.gguf")
    size = whole.stat().st_size
    with pytest.raises(OcgError, match=f"it has {size} bytes where {size + 1} belong"):
        gguf.check(whole, size_bytes=size + 1)


@pytest.mark.parametrize("name", ["gone.gguf", "."])
def test_what_cannot_be_read_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(OcgError) as caught:
        gguf.check_whole(tmp_path / name)
    assert caught.value.code is Code.MODEL_MISSING


def test_a_garbled_header_is_an_error_of_ours_and_nothing_worse(tmp_path: Path) -> None:
    whole = bytearray(write_gguf(tmp_path / "whole.gguf", weights=1024).read_bytes())
    garbled, rng = tmp_path / "garbled.gguf", random.Random(1)
    refused = 0
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(3):
            changed[rng.randrange(800)] = rng.choice((0, 1, 0x7F, 0xFF))
        garbled.write_bytes(changed)
        began = time.monotonic()
        try:
            gguf.check_whole(garbled)
        except OcgError:
            refused += 1
        assert time.monotonic() - began < 2
    assert refused > 100


def test_sizes_of_blocks_are_those_of_ggml() -> None:
    theirs = {int(kind): sizes for kind, sizes in official.GGML_QUANT_SIZES.items()}
    assert {kind: theirs[kind] for kind in gguf._BLOCKS} == gguf._BLOCKS
