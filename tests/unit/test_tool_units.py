"""The units of the cages: what they say fits what the agent and the confined process take for granted."""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from ocg.agent.confinement.sockets import MOST, WORKSPACE, Sockets
from ocg.agent.workspace import FILES
from ocg.errors import Code, OcgError
from ocg.managers.systemd import _UNITS
from ocg.protocol.tooling import Cage, Run
from ocg.tool import limits

SYSTEM = Path(__file__).resolve().parents[2] / "units/system"
SHARED = (SYSTEM / "ocg-tool-.service.d/10-system.conf").read_text()


def _values(text: str, key: str) -> list[str]:
    return [word for line in re.findall(rf"^{key}=(.*)$", text, re.MULTILINE) for word in line.split()]


@pytest.mark.parametrize("cage", list(Cage))
def test_each_cage_has_a_socket_that_comes_and_goes_with_the_agent(cage: Cage) -> None:
    name = f"ocg-tool-{cage}.socket"
    text = (SYSTEM / name).read_text()
    assert _values(text, "ListenStream") == [f"%t/ocg/tool-{cage}.sock"]
    assert (_values(text, "SocketUser"), _values(text, "SocketMode")) == (["ocg"], ["0600"])
    assert _values(text, "MaxConnections") == [str(2 * MOST)]
    agents = (SYSTEM / "ocg-agent.service.d/40-tools.conf").read_text()
    assert name in _values(agents, "Wants")
    assert name in _values(agents, "After")
    assert name in _UNITS


def test_a_cage_has_the_limits_that_ocg_tool_has() -> None:
    assert _values(SHARED, "MemoryMax") == [f"{limits.MEMORY_BYTES >> 30}G"]
    assert _values(SHARED, "TasksMax") == [str(limits.TASKS)]


@pytest.mark.parametrize("cage", list(Cage))
def test_the_users_own_files_are_read_only_wherever_the_workspace_is_not(cage: Cage) -> None:
    text = (SYSTEM / f"ocg-tool-{cage}@.service").read_text()
    kept = {f"-{WORKSPACE}/{name}" for name in FILES}
    if cage is Cage.RO:
        assert (_values(text, "BindPaths"), _values(text, "BindReadOnlyPaths")) == ([], [str(WORKSPACE)])
    else:
        assert _values(text, "BindPaths") == [str(WORKSPACE)]
        assert kept <= set(_values(text, "BindReadOnlyPaths"))


async def test_one_call_too_many_is_told_that_it_is_busy_and_the_next_goes_through(tmp_path: Path) -> None:
    async def nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_unix_server(nothing, tmp_path / "tool-ro.sock")
    sockets, request = Sockets(tmp_path), Run(argv=("true",))
    async with server, AsyncExitStack() as held:
        for _ in range(MOST):
            await held.enter_async_context(sockets.open(Cage.RO, request))
        with pytest.raises(OcgError, match="32 tools run in the cage ro already") as refused:
            await held.enter_async_context(sockets.open(Cage.RO, request))
        assert refused.value.code is Code.BUSY
        await held.aclose()
        async with sockets.open(Cage.RO, request):
            pass
