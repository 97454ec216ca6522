"""Keys in what providers answer."""

from collections.abc import AsyncIterator

import pytest

from ocg.agent.providers.masking import masked

KEY = "sk-sk-a-secret-key"
HIDDEN = b"*" * len(KEY)


async def _given(*chunks: bytes, key: str = KEY) -> list[bytes]:
    async def come() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [chunk async for chunk in masked(come(), key)]


@pytest.mark.parametrize("size", range(1, 40))
async def test_a_key_is_masked_wherever_it_is_cut(size: int) -> None:
    said = f"sk-{KEY}, not sk-a{KEY}{KEY}: sk-sk-sk-a-secret-ke".encode()
    found = b"".join(await _given(*(said[at : at + size] for at in range(0, len(said), size))))
    assert found == said.replace(KEY.encode(), HIDDEN)
    assert KEY.encode() not in found
    assert len(found) == len(said), "its Content-Length holds"


async def test_nothing_waits_but_what_may_be_the_key() -> None:
    assert await _given(b"data: 1\n\n", b"sky sk", b"", b"-y", b"sk-") == [b"data: 1\n\n", b"sky ", b"sk-y", b"sk-"]


@pytest.mark.parametrize("key", ["", "ollama", "lm-studio"])
async def test_a_word_that_is_no_key_stays_in_the_answer(key: str) -> None:
    assert await _given(b"ask olla", b"ma or lm-studio", key=key) == [b"ask olla", b"ma or lm-studio"]
