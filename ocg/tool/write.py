"""Writing a whole file."""

from ocg.protocol.tooling import Write
from ocg.tool.workspace import Workspace


def write(workspace: Workspace, asked: Write) -> str:
    """Write it, and say so."""
    is_new = workspace.write(asked.path, asked.content.encode())
    lines = len(asked.content.splitlines())
    return f"{'wrote the new file' if is_new else 'wrote'} {asked.path}: {lines} {'line' if lines == 1 else 'lines'}"
