"""What a tool's result is as text, since a result is text to the model."""

from collections.abc import Iterator, Sequence

import mcp_types as types
import msgspec

MAX_CHARS = 1 << 18


def text_of(result: types.CallToolResult) -> str:
    """Return the texts; of what is none, say what it is. At most 256 Ki characters."""
    whole = "\n".join(_parts(result.content))
    if not whole and result.structured_content is not None:
        whole = msgspec.json.encode(result.structured_content).decode()
    if len(whole) > MAX_CHARS:
        return f"{whole[:MAX_CHARS]}\n[the rest, {len(whole) - MAX_CHARS} characters, is left out]"
    return whole or "[nothing]"


def _parts(content: Sequence[types.ContentBlock]) -> Iterator[str]:
    for block in content:
        match block:
            case types.TextContent():
                yield block.text
            case types.ImageContent() | types.AudioContent():
                yield f"[{block.type}: {block.mime_type}, {_size(block.data)} bytes; it cannot be shown]"
            case types.EmbeddedResource(resource=types.TextResourceContents() as found):
                yield f"[resource {found.uri}]\n{found.text}"
            case types.EmbeddedResource(resource=types.BlobResourceContents() as found):
                yield f"[resource {found.uri}: {found.mime_type}, {_size(found.blob)} bytes; it cannot be shown]"
            case types.ResourceLink():
                yield f"[resource {block.uri}: {block.description or block.name}]"


def _size(base64: str) -> int:
    return len(base64) * 3 // 4 - base64.count("=", -2)
