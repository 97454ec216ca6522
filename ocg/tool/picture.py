"""Reading a picture of the workspace."""

from ocg.errors import Code, OcgError
from ocg.protocol.tooling import Picture
from ocg.protocol.tooling.picture import MAX_BYTES, media_type
from ocg.tool.workspace import Workspace


def picture(workspace: Workspace, asked: Picture) -> bytes:
    """Return its bytes. Raises INVALID_REQUEST for what is no picture, and TOO_LARGE."""
    with workspace.reading(asked.path) as stream:
        data = stream.read(MAX_BYTES + 1)
    if not media_type(data):
        why = f"{asked.path} is no PNG, JPEG, GIF or WebP"
        raise OcgError(Code.INVALID_REQUEST, why, "read a text with read; convert another picture first")
    if len(data) > MAX_BYTES:
        raise OcgError(Code.TOO_LARGE, f"{asked.path} is larger than {MAX_BYTES >> 20} MiB", "make it smaller first")
    return data
