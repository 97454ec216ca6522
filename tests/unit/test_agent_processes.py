"""Commands in the background: how many there may be, how long they go on, and how much of their output is kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ocg.agent.confinement.programs import Programs, Unconfined
from ocg.agent.processes import Limits, Processes
from ocg.agent.processes.output import Ends, Recent
from ocg.agent.processes.processes import Process
from ocg.errors import Code, OcgError
from ocg.protocol import frames
from ocg.protocol.tooling import Cage, Run


@asynccontextmanager
async def _processes(folder: Path, **limits: float) -> AsyncIterator[Processes]:
    found = Processes(Programs("unconfined", Unconfined(folder).command), Limits(**limits))  # type: ignore[arg-type] # a test's own
    try:
        yield found
    finally:
        await found.close()


async def _start(found: Processes, line: str, session_id: str = "s") -> Process:
    return await found.start(session_id, line, Cage.RW, Run(argv=("sh", "-c", line), is_interactive=True))


async def test_one_that_nobody_asks_for_ends_and_one_that_is_asked_for_goes_on(tmp_path: Path) -> None:
    async with _processes(tmp_path, idle_s=2.0, first_s=0.0) as found:
        asked, left = await _start(found, "sleep 600"), await _start(found, "sleep 600")
        async with asyncio.timeout(60):
            while not left.ended.is_set():
                found.get("s", asked.id)
                await asyncio.sleep(0.02)
        assert left.how == "ended, for nobody asked for it for 2 s"
        assert not asked.how


async def test_there_are_so_many_in_a_conversation_and_so_many_in_all(tmp_path: Path) -> None:
    async with _processes(tmp_path, in_session=2, in_all=3, first_s=0.0) as found:
        for session_id in ("a", "a", "b"):
            await _start(found, "sleep 600", session_id)
        for session_id, most in (("a", 2), ("c", 3)):
            with pytest.raises(OcgError) as raised:
                await _start(found, "sleep 600", session_id)
            assert raised.value.code is Code.BUSY
            assert raised.value.message.startswith(f"{most} processes run")
        await found.end_session("a")
        assert not found.of_session("a")
        assert not (await _start(found, "sleep 600", "c")).how


async def test_those_that_have_ended_are_forgotten_one_by_one_and_those_that_run_are_not(tmp_path: Path) -> None:
    async with _processes(tmp_path, in_session=2, first_s=0.0) as found:
        running = await _start(found, "sleep 600")
        for number in range(4):
            last = await _start(found, f"echo {number}")
            await found.wait(last, 60)
            assert found.of_session("s") == [running, last]


async def test_input_that_nobody_reads_is_refused_in_the_end_and_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocg.agent.processes.processes._WRITE_S", 0.5)
    async with _processes(tmp_path, first_s=0.0) as found:
        process = await _start(found, "sleep 600")
        with pytest.raises(OcgError) as raised:
            await _send_mebibytes(process, 12)
        assert raised.value.code is Code.BUSY


async def _send_mebibytes(process: Process, count: int) -> None:
    for _ in range(count * 16):
        await process.send(frames.INPUT, bytes(1 << 16))


async def test_the_last_of_an_endless_output_is_kept_and_said_to_be_the_last(tmp_path: Path) -> None:
    async with _processes(tmp_path, first_s=0.0) as found:
        process = await _start(found, "seq 100000; echo end")
        await found.wait(process, 60)
        said = process.news()
        assert said.startswith("[… 326755 bytes are lost here …]\n")
        assert said.endswith(f"100000\nend\n[process {process.id}: exit status 0]")
        assert process.news() == f"[process {process.id}: exit status 0]"


async def test_one_that_writes_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocg.agent.processes.processes.MAX_BYTES", 1 << 20)
    async with _processes(tmp_path, first_s=0.0) as found:
        process = await _start(found, "yes")
        await found.wait(process, 60)
        assert "for it wrote more than" in process.how


def test_the_beginning_and_the_end_are_kept_and_how_much_is_left_out_is_said() -> None:
    ends = Ends(10)
    for piece in (b"ab", b"cdefgh", b"ijklm", b"nop"):
        ends.add(piece)
    assert ends.text() == "abcde\n[… 6 bytes are left out here …]\nlmnop"
    whole = Ends(10)
    whole.add(b"0123456789")
    assert whole.text() == "0123456789"


def test_a_character_that_comes_in_two_parts_is_one() -> None:
    recent = Recent()
    recent.add("a€".encode()[:3])
    assert recent.take() == "a"
    recent.add("€b".encode()[2:])
    assert recent.take() == "€b"


def test_what_was_taken_is_not_given_again() -> None:
    recent = Recent(4)
    recent.add(b"ab")
    assert recent.take() == "ab"
    recent.add(b"cdefg")
    assert recent.take() == "[… 1 bytes are lost here …]\ndefg"
    assert recent.take() == ""
