"""Weights are exchanged for faster ones while the encoder serves, and nobody notices."""

import asyncio
import ctypes
import os
from pathlib import Path

import numpy as np
import pytest

from ocg.embedding.encoder import Encoder, halved
from ocg.embedding.encoder.weights import Weights
from tests.conftest import MODELS

_TEXTS = [f"text number {number} of those that are embedded meanwhile" for number in range(40)]


def _description(weights: Weights) -> bytes:
    buffer = ctypes.create_string_buffer(128)
    weights.llama.llama_model_desc(weights.handle, buffer, len(buffer))
    return buffer.value


def _mapped() -> str:
    return Path("/proc/self/maps").read_text()


async def _embedded(encoder: Encoder) -> np.ndarray:
    return np.array([one.vector for one in await encoder.embed(_TEXTS)])


async def test_vectors_stay_what_they_were_while_and_after_the_weights_are_exchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(halved, "is_worthwhile", lambda _: True)
    encoder = await Encoder.load(MODELS / "minilm.gguf", threads=2)
    try:
        before = await _embedded(encoder)
        meanwhile = []
        while not encoder.improving.done():
            meanwhile.append(await _embedded(encoder))
        await encoder.improving
        assert _description(encoder._weights).endswith(b"F16")
        for found in (*meanwhile, await _embedded(encoder)):
            assert (found * before).sum(axis=1).min() > 1 - 1e-3
    finally:
        await encoder.close()
    assert "minilm-f16" not in _mapped()


async def test_a_stop_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halved, "is_worthwhile", lambda _: True)
    encoder = await Encoder.load(MODELS / "minilm.gguf", threads=2)
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await encoder.close()


async def test_one_that_cannot_be_made_leaves_things_as_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(halved, "is_worthwhile", lambda _: True)
    # No memory for it, as it looks to llama.cpp.
    monkeypatch.setattr(os, "memfd_create", lambda *_: os.open("/dev/full", os.O_RDWR))
    encoder = await Encoder.load(MODELS / "minilm.gguf", threads=2)
    try:
        await encoder.improving
        assert "goes on with the weights it has" in caplog.text
        assert _description(encoder._weights).endswith(b"Q8_0")
        assert len(await _embedded(encoder)) == len(_TEXTS)
    finally:
        await encoder.close()


def test_a_model_in_f16_is_left_alone() -> None:
    weights = Weights(MODELS / "minilm.gguf")
    made = halved.halve(weights, threads=1)
    assert not halved.is_worthwhile(made)
    made.close()
    weights.close()
