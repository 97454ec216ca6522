"""An MCP server that a test plays, badly for the most part: `mcp_server.py MODE`. Nothing of the SDK is used."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

MODE = sys.argv[1]
EMPTY = {"type": "object", "properties": {}}
ECHO = {"name": "echo", "description": "Say it again.", "inputSchema": {"type": "object", "properties": {"text": {}}}}


def tool(name: str, schema: dict[str, Any] | None = None, description: str = "") -> dict[str, Any]:
    """Describe one."""
    return {"name": name, "description": description, "inputSchema": EMPTY if schema is None else schema}


def tools(cursor: str) -> dict[str, Any]:
    """Answer tools/list."""
    match MODE:
        case "endless":  # pages without end
            at = int(cursor or 0)
            return {"tools": [tool(f"t{number}") for number in range(at, at + 10)], "nextCursor": str(at + 10)}
        case "odd":
            return {
                "tools": [
                    ECHO | {"description": "d" * 100_000},
                    tool("time"),
                    tool("../../etc/passwd"),
                    tool("n" * 300),
                    tool("large", {"type": "object", "properties": {"x": {"description": "x" * 50_000}}}),
                    tool("echo"),
                ]
            }
        case "changing":
            return {"tools": [ECHO, *([tool("more")] if Path("changed").exists() else [])]}
        case _:
            return {"tools": [ECHO]}


def call(params: dict[str, Any]) -> dict[str, Any]:
    """Answer tools/call."""
    text = str(params["arguments"].get("text"))
    misbehave(text)
    image = {"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"}
    contents: dict[str, list[dict[str, Any]]] = {
        "picture": [image, {"type": "resource_link", "uri": "file:///x", "name": "x"}],
        "environment": [{"type": "text", "text": json.dumps(dict(os.environ))}],
        "large": [{"type": "text", "text": "y" * 1_000_000}],
        "fail": [{"type": "text", "text": "it cannot be done"}],
        "parts": [{}] * 100_000,
    }
    said = [{"type": "text", "text": f"you said {text}"}]
    return {"content": contents.get(text, said), "isError": text == "fail"}


def misbehave(text: str) -> None:
    """Do what a call says beside."""
    match text:
        case "die":
            os.write(2, b"out of luck\n")
            os._exit(3)
        case "flood":  # a line without end
            while True:
                os.write(1, b"x" * (1 << 16))
        case "hang":
            time.sleep(3600)
        case "change":
            with open("changed", "w", encoding="utf-8"):
                send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        case "garbage":
            os.write(1, b"\xff\xfe not JSON\n[1, 2]\n{}\n" * 100)


def send(message: dict[str, Any]) -> None:
    """Write a message."""
    os.write(1, json.dumps(message).encode() + b"\n")


def answer(asked: dict[str, Any]) -> dict[str, Any] | None:
    """Return a result; None for a method that nobody knows."""
    match asked["method"]:
        case "initialize":
            version = asked["params"]["protocolVersion"]
            info = {"name": f"double {MODE}", "version": "1"}
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
        case "tools/list":
            return tools((asked.get("params") or {}).get("cursor", ""))
        case "tools/call":
            return call(asked["params"])
        case _:
            return None


def main() -> None:
    """Answer, a line each."""
    if MODE == "broken":
        sys.exit("no such luck")
    if MODE == "silent":
        time.sleep(3600)
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked:
            continue
        result = answer(asked)
        error = {"code": -32601, "message": "unknown"}
        send({"jsonrpc": "2.0", "id": asked["id"]} | ({"error": error} if result is None else {"result": result}))


if __name__ == "__main__":
    main()
