"""mcp.json: what other clients write is understood, and a mistake in it is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from ocg.agent.mcp.file import Found, McpFile
from ocg.errors import Code, OcgError


def write(folder: Path, servers: Any, mode: int = 0o600) -> McpFile:
    path = folder / "mcp.json"
    path.write_text(servers if isinstance(servers, str) else json.dumps({"mcpServers": servers}))
    path.chmod(mode)
    return McpFile(folder, folder / "env.config")


async def test_without_a_file_there_are_no_servers(tmp_path: Path) -> None:
    assert await McpFile(tmp_path, tmp_path / "env.config").read() == Found()


async def test_what_other_clients_write_is_understood(tmp_path: Path) -> None:
    text = """{"mcpServers": {
        "files": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "."], "env": {"A": "b"}},
        "github": {"type": "http", "url": "https://api.example/mcp", "headers": {"Authorization": "Bearer x"}},
        "old": {"type": "sse", "url": "http://127.0.0.1:1/sse", "alwaysAllow": ["*"]},
        "off": {"command": "x", "disabled": true}}, "inputs": []}"""
    found = await write(tmp_path, text).read()
    assert not found.mistakes
    assert {name: one.kind for name, one in found.entries.items()} == {
        "files": "stdio",
        "github": "http",
        "old": "sse",
        "off": "stdio",
    }
    assert found.entries["files"].args[1] == "@modelcontextprotocol/server-filesystem"
    assert found.entries["off"].disabled


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({}, "either a `command` or a `url`"),
        ({"command": "x", "url": "http://a"}, "either a `command` or a `url`"),
        ({"url": "ftp://a"}, "http://"),
        ({"command": "x", "type": "http"}, "does not go with a `command`"),
        ({"url": "http://a", "type": "stdio"}, "does not go with a `url`"),
        ({"command": "x", "args": "y"}, "got `str` - at `$.args`"),
        ({"command": "x", "cwd": "../.."}, "out of the workspace"),
        ({"command": "x", "read": ["venv"]}, "whole paths"),
        ({"url": "http://a", "headers": {"A": "b\r\nC: d"}}, "$.headers"),
        ({"command": "x", "env": {"A=B": "c"}}, "$.env"),
        ({"command": "x", "timeout_s": 0}, "$.timeout_s"),
        ({"command": "x", "env": {"A": "${NOWHERE}"}}, "${NOWHERE} stands for nothing"),
        ({"command": "x", "env": {"A": "${OCG_UI_TOKEN}"}}, "is OCG's own"),
    ],
)
async def test_a_mistake_is_named_and_the_other_servers_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: Any, why: str
) -> None:
    monkeypatch.setenv("OCG_UI_TOKEN", "a-secret")
    found = await write(tmp_path, {"bad": entry, "good": {"command": "x"}}).read()
    assert list(found.entries) == ["good"]
    assert found.mistakes["bad"].code is Code.CONFIG_INVALID
    assert "mcp.json: server 'bad': " in str(found.mistakes["bad"])
    assert why in str(found.mistakes["bad"])
    assert "a-secret" not in str(found.mistakes["bad"])


async def test_what_is_nested_too_deep_is_a_mistake_as_well(tmp_path: Path) -> None:
    found = await write(tmp_path, _deep(600)).read()
    assert (list(found.entries), list(found.mistakes)) == (["good"], ["bad"])


def _deep(levels: int) -> str:
    nested = "[" * levels + "]" * levels
    return f'{{"mcpServers": {{"bad": {{"x": {nested}}}, "good": {{"command": "x"}}}}}}'


@pytest.mark.parametrize("name", ["", "a b", "../up", "a" * 33, "ü", "a\n"])
async def test_a_name_that_is_none_is_a_mistake(tmp_path: Path, name: str) -> None:
    found = await write(tmp_path, {name: {"command": "x"}}).read()
    assert (dict(found.entries), len(found.mistakes)) == ({}, 1)


async def test_names_whose_tools_could_not_be_told_apart_are_a_mistake(tmp_path: Path) -> None:
    found = await write(tmp_path, {"a_b": {"command": "x"}, "a-b": {"command": "y"}}).read()
    assert list(found.entries) == ["a_b"]
    assert "'a_b' is too like it" in str(found.mistakes["a-b"])


@pytest.mark.parametrize(
    "text", ["", "[]", '{"mcpServers": []}', '{"mcpServers": {"a": 1}}', "[" * 100_000, '{"mcpServers": {"a": {"x":']
)
async def test_a_file_that_is_none_is_refused_as_a_whole(tmp_path: Path, text: str) -> None:
    with pytest.raises(OcgError, match=r"mcp\.json") as caught:
        await write(tmp_path, text).read()
    assert caught.value.code is Code.CONFIG_INVALID


async def test_more_servers_than_anybody_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OcgError, match="more than 24"):
        await write(tmp_path, {f"s{number}": {"command": "x"} for number in range(25)}).read()


async def test_a_file_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(OcgError) as caught:
        await write(tmp_path, {}, mode=0o666).read()
    assert caught.value.code is Code.UNSAFE_PATH


async def test_variables_come_from_credentials_the_environment_and_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env.config").write_text("FROM_FILE=file\nBOTH=file\n")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/SECRET").write_text("credential\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    monkeypatch.setenv("BOTH", "environment")
    given = {"A": "${FROM_FILE}", "B": "x${BOTH}y", "C": "${SECRET}", "D": "${ABSENT:-else}", "E": "$HOME ${}"}
    found = await write(tmp_path, {"a": {"command": "x", "env": given, "args": ["--key=${SECRET}"]}}).read()
    assert found.entries["a"].env == {
        "A": "file",
        "B": "xenvironmenty",
        "C": "credential",
        "D": "else",
        "E": "$HOME ${}",
    }
    assert found.entries["a"].args == ("--key=credential",)


async def test_people_are_shown_no_secret_of_where_a_server_is(tmp_path: Path) -> None:
    servers = {
        "web": {"url": "https://me:pass@mcp.example:8443/sse/k3y?api_key=s3cret"},
        "run": {"command": "/opt/s3cret/bin/server", "args": ["--token=s3cret"]},
    }
    found = await write(tmp_path, servers).read()
    assert found.entries["web"].where == "https://mcp.example:8443"
    assert found.entries["run"].where == "server"
