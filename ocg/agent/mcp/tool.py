"""A tool of an MCP server, beside the agent's own."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from ocg.agent.mcp.base import Answer, Listed
from ocg.agent.tools.base import Place
from ocg.errors import Code, OcgError
from ocg.protocol.approvals import Decision

_MAX_NAME_CHARS = 64  # as all providers have it
_MAX_DESCRIPTION_CHARS = 1024
_MAX_SCHEMA_BYTES = 1 << 14
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")

Call = Callable[[str, Mapping[str, Any]], Awaitable[Answer]]


class McpTool:
    """See Tool. What a server says of its tool's harmlessness counts for nothing: by default it is asked about."""

    default: Decision = "ask"
    is_repeatable = False
    is_outside = True

    def __init__(self, server: str, listed: Listed, call: Call, timeout_s: float) -> None:
        self.name = name_of(server, listed.name)
        self.title = listed.name
        self.description = listed.description[:_MAX_DESCRIPTION_CHARS] or f"{listed.name} of {server}"
        self.arguments = _schema(listed)
        self.timeout_s = timeout_s
        self._call = call

    async def run(self, arguments: Any, place: Place) -> str:
        """Have the server do it."""
        del place
        answer = await self._call(self.title, arguments)
        if answer.is_error:
            raise OcgError(Code.INVALID_REQUEST, answer.text)
        return answer.text


def tools_of(server: str, listed: Sequence[Listed], call: Call, timeout_s: float) -> tuple[list[McpTool], list[str]]:
    """Return what is offered of a server's tools, and why the others are not."""
    found: dict[str, McpTool] = {}
    left_out = []
    for one in listed:
        try:
            tool = McpTool(server, one, call, timeout_s)
        except OcgError as error:
            left_out.append(f"{one.name[:_MAX_NAME_CHARS]}: {error.message}")
            continue
        if tool.name in found:
            left_out.append(f"{one.name[:_MAX_NAME_CHARS]}: there is another of that name")
        else:
            found[tool.name] = tool
    return list(found.values()), left_out


def name_of(server: str, tool: str) -> str:
    """Return what the model calls it. Two never share a name, whatever a server calls its tools.

    No server's part has an underscore, so the first one behind it is where the tool's begins. A name that does not fit
    has a sum of the whole one at its end.
    """
    begin = f"mcp_{server.replace('_', '-')}_"
    fit = _UNFIT.sub("_", tool)
    if fit == tool and len(begin) + len(tool) <= _MAX_NAME_CHARS:
        return begin + tool
    end = "_" + hashlib.sha256(tool.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return (begin + fit)[: _MAX_NAME_CHARS - len(end)] + end


def _schema(listed: Listed) -> dict[str, Any]:
    """Return the schema of its arguments. Raises TOO_LARGE, and INVALID_REQUEST where it is none of an object."""
    schema = {key: value for key, value in listed.schema.items() if key not in {"$schema", "$id"}}
    try:
        size = len(msgspec.json.encode(schema))
    except (TypeError, ValueError, RecursionError):
        raise OcgError(Code.INVALID_REQUEST, "the schema of its arguments is no JSON") from None
    if size > _MAX_SCHEMA_BYTES:
        raise OcgError(Code.TOO_LARGE, f"the schema of its arguments is longer than {_MAX_SCHEMA_BYTES >> 10} KiB")
    if schema.get("type") != "object":
        raise OcgError(Code.INVALID_REQUEST, "its arguments are no object")
    return schema
