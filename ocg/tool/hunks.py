"""Where the lines of a patch stand in a file. As Codex has it, they need only be alike but for white space."""

from collections.abc import Callable, Sequence

from ocg.errors import Code, OcgError
from ocg.protocol.tooling.patch import Chunk
from ocg.tool.nearest import nearest

_ALIKE: tuple[Callable[[str], str], ...] = (str, str.rstrip, str.strip)


def patched(path: str, text: str, chunks: Sequence[Chunk]) -> str:
    """Return a file's text with chunks applied, from its top to its bottom. Raises INVALID_REQUEST."""
    lines = text.removesuffix("\n").split("\n") if text else []
    found: list[str] = []
    at = 0
    for chunk in chunks:
        begin = _place(path, lines, chunk, at)
        found += lines[at:begin]
        at = begin
        for sign, line in chunk.lines:
            if sign == "+":
                found.append(line)
            else:
                found += lines[at : at + 1] if sign == " " else []  # as it stands in the file, not in the patch
                at += 1
    found += lines[at:]
    return "\n".join(found) + ("\n" if found and (text.endswith("\n") or not text) else "")


def _place(path: str, lines: Sequence[str], chunk: Chunk, at: int) -> int:
    """Return the index where a chunk begins; what only adds does so below its heads, or at the file's end."""
    for head in chunk.heads:
        at = _seek(path, lines, (head,), at) + 1
    if not chunk.old:
        return at if chunk.heads else len(lines)
    if chunk.is_at_end:
        at = max(at, len(lines) - len(chunk.old))
    return _seek(path, lines, chunk.old, at)


def _seek(path: str, lines: Sequence[str], wanted: Sequence[str], start: int) -> int:
    for alike in _ALIKE:
        want, have = [alike(one) for one in wanted], [alike(one) for one in lines]
        for at in range(start, len(have) - len(want) + 1):
            if have[at] == want[0] and have[at : at + len(want)] == want:
                return at
    where = f"{path}, below line {start}" if start else path
    said = "\n".join(wanted[:10])
    why = f"these lines of the patch are not in {where}:\n{said}{nearest(lines, wanted)}"
    raise OcgError(Code.INVALID_REQUEST, why, "nothing was changed; copy the lines as they stand in the file")
