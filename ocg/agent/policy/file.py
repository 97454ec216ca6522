"""policy.toml in OCG's data directory, which people write: read at the start, and again by `ocg reload`."""

import asyncio
import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from ocg.agent.policy.rules import Call, Policy, Verdict
from ocg.config import ownfile
from ocg.errors import Code, OcgError
from ocg.protocol.approvals import Decision

NAME = "policy.toml"
_MAX_BYTES = 1 << 20
_PATH_MAX = 4096  # with its NUL, as Linux has it
_LISTED = ("tool", "session", "channel", "command", "path")


class PolicyFile:
    """The policy as the file has it, over the workspace that paths are relative to."""

    def __init__(self, data_dir: Path, workspace: Path) -> None:
        self._file = data_dir / NAME
        self._workspace = workspace
        self._policy = Policy()

    async def read(self) -> Policy:
        """Read the file. Raises CONFIG_INVALID or UNSAFE_PATH."""
        return await asyncio.to_thread(_load, self._file)

    def take(self, policy: Policy) -> None:
        """Decide by what was read, from the next call on."""
        self._policy = policy

    async def judge(
        self,
        tool: str,
        arguments: object,
        *,
        default: Decision,
        session: str,
        channel: str = "",
        is_stranger: bool = False,
    ) -> tuple[Verdict, Call]:
        """Decide on a call with these arguments, as its tool reads them; return what was judged as well."""
        command = getattr(arguments, "command", None)
        call = Call(
            tool,
            default,
            session,
            channel,
            is_stranger,
            command if isinstance(command, str) else None,
            await asyncio.to_thread(_all_resolved, self._workspace, arguments),
            is_deep=getattr(arguments, "is_deep", False) is True,
            has_network=getattr(arguments, "network", False) is True,
        )
        return self._policy.judge(call), call


def _load(file: Path) -> Policy:
    hint = f"correct {file}"
    try:
        data = ownfile.read(file, limit_bytes=_MAX_BYTES + 1, hint=f"chown it to the user of OCG, and chmod 600 {file}")
        if data is None:
            return Policy()
        if len(data) > _MAX_BYTES:
            raise OcgError(Code.CONFIG_INVALID, f"{file} is larger than 1 MiB", hint)
        return msgspec.convert(_listed(tomllib.loads(data.decode())), Policy)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError, OSError) as error:
        raise OcgError(Code.CONFIG_INVALID, f"{file}: {error}", hint) from None


def _listed(found: dict[str, Any]) -> dict[str, Any]:
    """Take one pattern for a list of one."""
    rules = found.get("rule")
    for rule in rules if isinstance(rules, list) else ():
        if isinstance(rule, dict):
            rule |= {key: [rule[key]] for key in _LISTED if isinstance(rule.get(key), str)}
    return found


def _all_resolved(workspace: Path, arguments: object) -> tuple[str, ...]:
    paths = getattr(arguments, "paths", None)
    paths = (getattr(arguments, "path", None),) if paths is None else paths
    return tuple(_resolved(workspace, one) for one in paths if isinstance(one, str))


def _resolved(workspace: Path, path: str) -> str:
    """Follow `..` and links to where a path leads; empty for what the kernel would not take."""
    try:
        if len(os.fsencode(path)) >= _PATH_MAX:
            return ""
        found = os.path.realpath(workspace / path)
        root = os.path.realpath(workspace)
    except (OSError, ValueError):
        return ""
    return os.path.relpath(found, root) if found == root or found.startswith(f"{root}{os.sep}") else found
