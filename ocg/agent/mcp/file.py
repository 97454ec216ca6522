"""mcp.json in OCG's data directory, in the form that other clients use: read at the start, and by `ocg reload`."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ocg.agent.mcp import variables
from ocg.agent.mcp.entry import Entry
from ocg.config import ownfile
from ocg.errors import Code, OcgError
from ocg.protocol.mcp import McpName

NAME = "mcp.json"
_MAX_BYTES = 1 << 20
# Fewer than a cage takes at once (ocg/agent/confinement/sockets.py): hooks run in there as well.
_MAX_SERVERS = 24


class _File(msgspec.Struct, frozen=True):
    """Whatever else other clients keep in there is no business of ours."""

    servers: dict[str, dict[str, Any]] = msgspec.field(name="mcpServers", default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What the file says: the servers, and what is wrong with the others, by name."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    mistakes: Mapping[str, OcgError] = field(default_factory=dict)


class McpFile:
    """The file, and where its `${VARIABLES}` come from: credentials, the environment, then env.config."""

    def __init__(self, data_dir: Path, config_file: Path) -> None:
        self._file = data_dir / NAME
        self._config_file = config_file

    async def read(self) -> Found:
        """Read it; a server with a mistake is left out, and named. Raises CONFIG_INVALID or UNSAFE_PATH."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> Found:
        hint = f"correct {self._file}"
        try:
            safe = f"chown it to the user of OCG, and chmod 600 {self._file}"
            data = ownfile.read(self._file, limit_bytes=_MAX_BYTES + 1, hint=safe)
            if data is None:
                return Found()
            if len(data) > _MAX_BYTES:
                raise OcgError(Code.CONFIG_INVALID, f"{self._file} is larger than 1 MiB", hint)
            servers = msgspec.json.decode(data, type=_File).servers
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
            raise OcgError(Code.CONFIG_INVALID, f"{self._file}: {error}", hint) from None
        if len(servers) > _MAX_SERVERS:
            raise OcgError(Code.CONFIG_INVALID, f"{self._file}: more than {_MAX_SERVERS} servers", hint)
        return self._all(servers)

    def _all(self, servers: Mapping[str, dict[str, Any]]) -> Found:
        entries: dict[str, Entry] = {}
        mistakes: dict[str, OcgError] = {}
        known = variables.Known.find(os.environ, self._config_file)
        for name, given in servers.items():
            try:
                msgspec.convert(name, McpName)
                alike = next((one for one in entries if one.replace("_", "-") == name.replace("_", "-")), None)
                if alike is not None:
                    raise ValueError(f"{alike!r} is too like it")  # noqa: TRY301 - told as all the others are
                entries[name] = msgspec.convert(known.put_into(given), Entry)
            except (ValueError, RecursionError) as error:  # msgspec's among them
                where = f"{self._file}: server {name[:64]!r}"
                mistakes[name[:64]] = OcgError(Code.CONFIG_INVALID, f"{where}: {error}", f"correct {self._file}")
        return Found(entries, mistakes)
