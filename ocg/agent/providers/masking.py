"""Keys taken out of what providers answer, wherever it is cut."""

from collections.abc import AsyncGenerator, AsyncIterable

# What is shorter stands where a key must: `ollama`, `EMPTY`, `lm-studio`. Answers are full of such words.
_LEAST_CHARS = 12


async def masked(chunks: AsyncIterable[bytes], key: str) -> AsyncGenerator[bytes, None]:
    """Give bytes as they come, with asterisks for the key, so that nothing changes its length.

    Only what may be the beginning of the key waits for the next chunk.
    """
    secret, held = key.encode() if len(key) >= _LEAST_CHARS else b"", b""
    mask = b"*" * len(secret)
    async for chunk in chunks:
        data = (held + chunk).replace(secret, mask)
        end = _begun(data, secret)
        data, held = data[:end], data[end:]
        if data:
            yield data
    if held:
        yield held


def _begun(data: bytes, secret: bytes) -> int:
    """Return where at their end the bytes may begin to be the secret; their length where they do not."""
    at = data.find(secret[:1], max(len(data) - len(secret) + 1, 0))
    while at >= 0 and not secret.startswith(data[at:]):
        at = data.find(secret[:1], at + 1)
    return len(data) if at < 0 else at
