"""`ocg mcp`: the servers whose tools the agent has, and OCG as such a server itself."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from ocg.cli import agent, services, terminal
from ocg.cli.actions import Actions
from ocg.errors import Code, OcgError
from ocg.protocol import wire
from ocg.protocol.mcp import McpClient, McpName, McpServerItem, McpServerList, McpTest, McpToolItem

T = TypeVar("T")

_COLOURS = {"ready": terminal.GREEN, "failed": terminal.RED, "disabled": terminal.DIM}
_SHOWN_CHARS = 70


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    services.add_manager(parser)
    actions = Actions(parser)
    listing = actions.add("list", "list the servers that mcp.json names, how they stand, and their tools")
    listing.add_argument("--json", action="store_true", help="print one JSON object a line")
    trying = actions.add("test", "connect to a server anew, and say how long that took and what tools it has")
    trying.add_argument("name", metavar="SERVER", help="a name that ocg mcp list shows")
    actions.add("serve", "be an MCP server on standard input and output, for the agent's memory and conversations")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    match arguments.action:
        case "list":
            _list(_ask(arguments, lambda client: client.list()), as_json=arguments.json)
        case "test":
            name = _name(arguments)
            _tested(_ask(arguments, lambda client: client.test(name)))
        case "serve":
            from ocg.cli import mcp_server  # noqa: PLC0415 - the SDK takes long to import

            asyncio.run(mcp_server.serve(agent.client_of(arguments)))
    return 0


def _ask(arguments: argparse.Namespace, question: Callable[[McpClient], Awaitable[T]]) -> T:
    return agent.ask(arguments, lambda client: question(McpClient(client)))


def _name(arguments: argparse.Namespace) -> str:
    """Check a name before it becomes part of a path. Raises NOT_FOUND: nothing has such a name."""
    try:
        return msgspec.convert(arguments.name, McpName)
    except msgspec.ValidationError:
        raise OcgError(Code.NOT_FOUND, f"no MCP server {arguments.name!r}", "ocg mcp list shows them") from None


def _list(found: McpServerList, *, as_json: bool) -> None:
    if as_json:
        for one in found.servers:
            print(wire.encode(one).decode())
        return
    name, kind = (max((len(getattr(one, key)) for one in found.servers), default=0) for key in ("name", "kind"))
    for one in found.servers:
        state = terminal.paint(f"{one.state:<8}", _COLOURS.get(one.state, terminal.YELLOW))
        terminal.line(f"{one.name:<{name}}  {one.kind:<{kind}}  {state}  {terminal.plain(_said(one))}")
        _tools(one.tools, one.left_out)


def _said(one: McpServerItem) -> str:
    return f"{one.where}: {one.why}" if one.why else one.where


def _tested(found: McpTest) -> None:
    ok, times = terminal.paint("ok", terminal.GREEN), f"connected in {found.connect_s:.2f} s"
    who = terminal.plain(f"{found.server or 'a server without a name'}, protocol {found.protocol}")
    terminal.line(f"{found.name}: {ok}, {who}, {times}, {len(found.tools)} tools listed in {found.list_s:.2f} s")
    _tools(found.tools, found.left_out)


def _tools(tools: tuple[McpToolItem, ...], left_out: tuple[str, ...]) -> None:
    width = max((len(tool.name) for tool in tools), default=0)
    for tool in tools:
        said = " ".join(terminal.plain(tool.description).split())
        short = said if len(said) <= _SHOWN_CHARS else f"{said[: _SHOWN_CHARS - 1]}…"
        terminal.line(f"  {tool.name:<{width}}  {terminal.paint(short, terminal.DIM)}")
    for why in left_out:
        terminal.line(terminal.paint(f"  left out: {terminal.plain(why)}", terminal.YELLOW))
