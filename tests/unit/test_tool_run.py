"""A program that ocg-tool runs, as the agent's end of the connection sees it: real processes, in no cage."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ocg.agent.confinement import Confined
from ocg.agent.confinement.programs import Programs, Unconfined
from ocg.errors import Code, OcgError
from ocg.protocol import frames
from ocg.protocol.tooling import Cage, Run


@asynccontextmanager
async def _running(workspace: Path, *argv: str, **more: Any) -> AsyncIterator[Confined]:
    async with Programs("unconfined", Unconfined(workspace).command).open(Cage.RW, Run(argv=argv, **more)) as confined:
        yield confined


async def _said(confined: Confined) -> dict[bytes, bytes]:
    """Return all that comes, by the kinds of its frames."""
    found: dict[bytes, bytes] = {}
    async for kind, data in confined.frames():
        found[kind] = found.get(kind, b"") + data
    return found


def _running_of(pids: list[str]) -> list[str]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await is_so():  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.02)


async def test_input_goes_in_and_comes_out_and_its_end_is_told(tmp_path: Path) -> None:
    async with _running(tmp_path, "cat", is_interactive=True) as confined:
        await confined.send(frames.INPUT, b"one\n")
        await confined.send(frames.INPUT, b"two\n")
        await confined.send(frames.INPUT_END)
        said = await _said(confined)
    assert said[frames.OUTPUT] == b"one\ntwo\n"
    assert json.loads(said[frames.RESULT]) == {"status": 0, "signal": None, "why": ""}


async def test_without_input_there_is_nothing_to_read(tmp_path: Path) -> None:
    async with _running(tmp_path, "cat") as confined:
        assert frames.OUTPUT not in await _said(confined)


async def test_more_input_than_is_kept_waits_until_it_is_read(tmp_path: Path) -> None:
    async with _running(tmp_path, "sh", "-c", "read line; sleep 0.5; wc -c", is_interactive=True) as confined:
        await confined.send(frames.INPUT, b"go\n")
        for _ in range(64):
            await confined.send(frames.INPUT, bytes(1 << 16))
        await confined.send(frames.INPUT_END)
        assert int((await _said(confined))[frames.OUTPUT]) == 4 << 20


async def test_a_program_that_reads_no_more_goes_on(tmp_path: Path) -> None:
    async with _running(tmp_path, "sh", "-c", "exec <&-; echo still here", is_interactive=True) as confined:
        for _ in range(8):
            await confined.send(frames.INPUT, bytes(1 << 16))
        assert (await _said(confined))[frames.OUTPUT] == b"still here\n"


async def test_errors_come_apart_where_that_is_wanted(tmp_path: Path) -> None:
    command = ("sh", "-c", "echo out; echo err >&2")
    async with _running(tmp_path, *command, parts_errors=True) as confined:
        said = await _said(confined)
        assert (said[frames.OUTPUT], said[frames.ERRORS]) == (b"out\n", b"err\n")
    async with _running(tmp_path, *command) as confined:
        assert (await _said(confined))[frames.OUTPUT] == b"out\nerr\n"


async def test_a_signal_reaches_it_and_what_it_has_started(tmp_path: Path) -> None:
    async with _running(tmp_path, "sh", "-c", "echo ready; sleep 600 & wait") as confined:
        coming = confined.frames()
        assert await anext(coming) == (frames.OUTPUT, b"ready\n")
        await confined.send(frames.SIGNAL, bytes([signal.SIGTERM]))
        kind, data = await anext(coming)
        assert (kind, json.loads(data)["signal"]) == (frames.RESULT, signal.SIGTERM)


async def test_who_takes_nothing_holds_it_up_and_its_limit_of_time_counts_on(tmp_path: Path) -> None:
    endless = "i=0; while :; do head -c 65536 /dev/zero; i=$((i+1)); echo $i > count; done"
    async with _running(tmp_path, "sh", "-c", endless, timeout_s=3) as confined:
        counts = [-1]

        async def stands_still() -> bool:
            await asyncio.sleep(0.5)
            path = tmp_path / "count"
            counts.append(int(path.read_text() or 0) if path.exists() else 0)
            return 0 < counts[-1] == counts[-2]

        await _until(stands_still)
        assert counts[-1] < 100  # what the buffers between it and us hold
        assert json.loads((await _said(confined))[frames.RESULT])["why"] == "timeout"


async def test_all_that_was_written_comes_however_slowly_it_is_taken(tmp_path: Path) -> None:
    async with _running(tmp_path, "head", "-c", "400000", "/dev/zero") as confined:
        size = 0
        async for kind, data in confined.frames():
            size += len(data) if kind == frames.OUTPUT else 0
            await asyncio.sleep(0.3)
    assert size == 400_000


async def test_all_of_it_ends_when_the_agent_goes(tmp_path: Path) -> None:
    async with _running(tmp_path, "sh", "-c", "sleep 600 & echo $$ $!; wait") as confined:
        _, data = await anext(confined.frames())

    async def have_ended() -> bool:
        return not await asyncio.to_thread(_running_of, data.decode().split())

    await _until(have_ended)


async def test_no_signal_is_ignored_and_no_descriptor_is_open_beyond_three(tmp_path: Path) -> None:
    async with _running(tmp_path, "sh", "-c", "grep SigIgn /proc/self/status; echo /proc/self/fd/*") as confined:
        ignored, descriptors = (await _said(confined))[frames.OUTPUT].splitlines()
    assert not int(ignored.split()[1], 16) & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)
    numbers = [path.rpartition("/")[2] for path in descriptors.decode().split()]
    assert set(numbers) <= {"0", "1", "2", "3"}  # the shell has the folder itself open


@pytest.mark.parametrize(
    ("argv", "folder", "why"),
    [
        (("no-such-program",), ".", "no-such-program: No such file or directory"),
        (("./plain",), ".", "./plain: Permission denied"),
        (("true",), "nowhere", "nowhere: No such file or directory"),
        (("true",), "plain", "plain: Not a directory"),
        (("true", "\0"), ".", "true: embedded null byte"),
    ],
)
async def test_what_cannot_be_started_says_why(tmp_path: Path, argv: tuple[str, ...], folder: str, why: str) -> None:
    (tmp_path / "plain").write_text("x")
    with pytest.raises(OcgError) as raised:
        async with _running(tmp_path, *argv, folder=folder) as confined:
            await _said(confined)
    assert raised.value.code is Code.INVALID_REQUEST
    assert raised.value.message == why
