"""Schedules with a clock that the test sets: each time is one turn, through downtime, crashes and failures."""

import asyncio
import datetime as dt
import json
from pathlib import Path

import pytest

from ocg.agent.queue import Limits, Place
from ocg.agent.schedules import Schedules
from ocg.agent.store import Store
from ocg.agent.tools import Toolbox
from ocg.agent.tools.schedule import ScheduleTool
from ocg.errors import Code, OcgError
from ocg.protocol.messages import AskedBy, ReplyTo, ToolUse, TurnRequest
from ocg.protocol.schedules import Schedule, ScheduleRequest
from tests.agent_parts import place_of
from tests.schedule_parts import DAY, HOUR, MINUTE, NOON, PlayedClock, Scheduled, opened, scheduled, transcript


def hourly(message: str = "look", name: str = "s", **fields: object) -> ScheduleRequest:
    return ScheduleRequest(name=name, when="every 1h", message=message, **fields)  # type: ignore[arg-type] # a test's


async def one_of(schedules: Schedules, name: str = "s") -> Schedule:
    return next(one for one in (await schedules.list()).schedules if one.name == name)


async def test_what_is_due_is_one_turn_in_the_schedules_own_conversation_and_is_delivered(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        made = await here.schedules.add(hourly(reply_to=ReplyTo(channel="matrix", address="#room")))
        assert (made.next_at, made.last_run) == (NOON + HOUR, None)
        await here.looked()
        assert here.clock.awaited == NOON + HOUR
        here.clock.set(NOON + HOUR - 1)
        await here.looked()
        assert here.model.said == []
        here.clock.set(NOON + HOUR)
        (run,) = await here.ended(1)
        assert (run.state, run.due_at, run.missed, run.is_asked) == ("completed", NOON + HOUR, 0, False)
        here.clock.set(NOON + 2 * HOUR)
        runs = await here.ended(2)
        session = [("user", "look"), ("assistant", "ok")]
        assert await transcript(here.database, "schedule@s") == session * 2
        delivered = await here.deliveries.take("matrix", wait_s=0)
        assert {(one.address, one.text) for one in delivered} == {("#room", "ok")}
        assert [one.turn_id for one in delivered] == [one.turn_id for one in reversed(runs)]
        assert (await one_of(here.schedules)).next_at == NOON + 3 * HOUR


async def test_each_run_may_have_a_conversation_of_its_own(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        await here.schedules.add(hourly(session="new"))
        for number in (1, 2):
            here.clock.set(NOON + number * HOUR)
            runs = await here.ended(number)
        sessions = {one.session_id for one in runs}
        assert len(sessions) == 2
        for session in sessions:
            assert await transcript(here.database, session) == [("user", "look"), ("assistant", "ok")]


async def test_after_downtime_one_run_stands_for_all_that_were_missed_and_says_so(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        await here.schedules.add(hourly(zone="UTC"))
        await here.schedules.add(hourly("/help", name="command"))
    clock = PlayedClock(NOON + 5.5 * HOUR)
    async with scheduled(tmp_path, clock) as here:
        (run,) = await here.ended(1)
        assert (run.missed, run.due_at, run.began_at) == (4, NOON + HOUR, NOON + 5.5 * HOUR)
        (said,) = here.model.said
        note = "(This was due at 2026-11-28 13:00, and 4 more times since; this is done once for all.)"
        assert said == f"look\n\n{note}"
        (command,) = await here.ended(1, "command")
        assert command.state == "completed"
        assert (await one_of(here.schedules)).next_at == NOON + 6 * HOUR
    clock = PlayedClock(NOON + 6 * HOUR + 30)  # a little late is nothing to speak of
    async with scheduled(tmp_path, clock) as here:
        await here.ended(2)
        assert here.model.said == ["look"]


async def test_years_of_downtime_are_caught_up_at_once(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        await here.schedules.add(ScheduleRequest(name="s", when="*/5 * * * *", message="look", zone="Europe/Paris"))
    async with scheduled(tmp_path, PlayedClock(NOON + 3000 * DAY + 1)) as here:
        (run,) = await here.ended(1)
        assert run.missed == 100
        assert (await one_of(here.schedules)).next_at == NOON + 3000 * DAY + 5 * MINUTE


async def test_while_a_run_goes_on_none_of_the_same_schedule_begins(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        await here.schedules.add(hourly("hang"))
        await here.schedules.add(hourly(name="other"))
        for number in (1, 2, 3):
            here.clock.set(NOON + number * HOUR)
            await here.ended(number, "other")
        (run,) = await here.until(lambda runs: runs[0].missed == 2)
        assert run.state == "running"
        assert run.turn_id
        with pytest.raises(OcgError) as caught:
            await here.schedules.ask("s")
        assert caught.value.code is Code.CONFLICT
        here.model.go_on.set()
        await here.ended(1)
        here.clock.set(NOON + 4 * HOUR)
        assert [one.missed for one in await here.ended(2)] == [0, 2]


async def test_a_run_that_fails_is_kept_with_its_error_and_the_schedule_goes_on(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        await here.schedules.add(hourly("fail"))
        for number in (1, 2):
            here.clock.set(NOON + number * HOUR)
            runs = await here.ended(number)
        for run in runs:
            assert run.state == "failed"
            assert run.error is not None
            assert (run.error.code, run.error.message) == (Code.PROVIDER, "the model broke")


async def test_a_conversation_that_has_no_room_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocg.agent.schedules.scheduler._BUSY_PAUSES_S", (0.01,) * 500)
    async with scheduled(tmp_path) as here:
        await here.schedules.add(hourly())
        with here.turns._queue.place(Place(None, AskedBy())):
            monkeypatch.setattr(here.turns._queue, "_limits", Limits(queued=0, queued_in_session=0))
            here.clock.set(NOON + HOUR)
            await here.until(lambda runs: len(runs) == 1)
            await asyncio.sleep(0.05)
            assert here.model.said == []
            monkeypatch.undo()
        assert [one.state for one in await here.ended(1)] == ["completed"]


async def test_what_is_for_one_time_ends_itself_and_makes_room_for_another_of_its_name(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        once = ScheduleRequest(name="s", when="in 20m", message="tea")
        made = await here.schedules.add(once)
        assert made.next_at == NOON + 20 * MINUTE
        here.clock.set(NOON + 20 * MINUTE)
        await here.ended(1)
        over = await one_of(here.schedules)
        assert over.next_at is None
        assert over.last_run is not None
        assert over.last_run.state == "completed"
        here.clock.set(NOON + DAY)
        await here.looked()
        assert here.model.said == ["tea"]
        assert (await here.schedules.add(once)).next_at == NOON + DAY + 20 * MINUTE
        here.clock.set(NOON + DAY + 20 * MINUTE)
        await here.ended(1)
        here.clock.set(NOON + 9 * DAY)
        await here.schedules.add(hourly(name="other"))
        assert [one.name for one in (await here.schedules.list()).schedules] == ["other"]


async def test_a_span_is_as_long_as_asked_for_where_clocks_are_put_back_meanwhile(tmp_path: Path) -> None:
    before = dt.datetime(2026, 10, 24, 23, 30, 0, 500_000, tzinfo=dt.UTC).timestamp()
    async with scheduled(tmp_path, PlayedClock(before)) as here:
        once = ScheduleRequest(name="s", when="in 2h", message="tea", zone="Europe/Paris")
        made = await here.schedules.add(once)  # at 01:30, for 02:30 when it is that for the second time
        assert made.next_at == int(before) + 2 * HOUR
        await here.schedules.realign()
        assert await one_of(here.schedules) == made
        here.clock.set(before + HOUR)
        await here.looked()
        assert here.model.said == []
        here.clock.set(before + 2 * HOUR)
        (run,) = await here.ended(1)
        assert run.due_at == made.next_at
        assert (await one_of(here.schedules)).next_at is None


async def test_one_that_rests_leaves_out_what_it_misses_but_not_its_only_time(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        await here.schedules.add(hourly())
        await here.schedules.add(ScheduleRequest(name="once", when="in 1h", message="tea"))
        for name in ("s", "once"):
            assert (await here.schedules.pause(name, is_paused=True)).is_paused
        here.clock.set(NOON + 5.5 * HOUR)
        await here.looked()
        assert here.model.said == []
        for name in ("s", "once"):
            assert not (await here.schedules.pause(name, is_paused=False)).is_paused
        assert (await one_of(here.schedules)).next_at == NOON + 6 * HOUR
        await here.ended(1, "once")
        assert len(here.model.said) == 1


async def test_a_run_may_be_asked_for_beside_those_that_are_due(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        await here.schedules.add(hourly())
        asked = await here.schedules.ask("s")
        assert (asked.is_asked, asked.state, asked.due_at) == (True, "running", NOON)
        await here.ended(1)
        here.clock.set(NOON + HOUR)
        assert [one.is_asked for one in await here.ended(2)] == [False, True]


async def test_a_clock_that_is_put_back_runs_nothing_twice_and_stops_nothing(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        await here.schedules.add(hourly())
        for hours in (1, 2):
            here.clock.set(NOON + hours * HOUR)
            await here.ended(hours)
        here.clock.set(NOON + 1.5 * HOUR)
        await here.looked()
        assert (await one_of(here.schedules)).next_at == NOON + 2 * HOUR
        here.clock.set(NOON + 3 * HOUR)  # past what ran before, as after a sleep
        await here.ended(3)
        here.clock.set(NOON - 1000 * DAY)  # it was wrong until now
        await here.looked()
        assert (await one_of(here.schedules)).next_at == NOON + HOUR  # `every` begins with its making
        assert len(here.model.said) == 3


async def test_much_that_is_due_at_once_is_no_storm(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        for number in range(30):
            await here.schedules.add(hourly("hang", name=f"s{number}"))
        here.clock.set(NOON + HOUR)
        await here.until(lambda runs: bool(runs) and here.model.at_once == 4, "s29")
        here.model.go_on.set()
        for number in range(30):
            await here.ended(1, f"s{number}")
        assert here.model.most_at_once == 4
        assert len(here.model.said) == 30


@pytest.mark.parametrize("cut", ["before it is submitted", "while it runs", "before its end is noted"])
async def test_a_run_that_is_cut_off_is_one_turn_all_the_same(tmp_path: Path, cut: str) -> None:
    clock = PlayedClock()
    async with opened(tmp_path, clock) as (_, schedules):
        await schedules.add(hourly("hang" if cut == "while it runs" else "look"))
        clock.time = NOON + HOUR
        await schedules.claim()
    if cut == "while it runs":
        async with scheduled(tmp_path, clock) as here:
            await here.until(lambda runs: runs[0].turn_id is not None)
    if cut == "before its end is noted":
        async with scheduled(tmp_path, clock) as here:
            await here.ended(1)
            sql = "UPDATE schedule_runs SET state = 'running', ended_at = NULL, request = ?"
            request = await _request(here)
            await here.database.write(lambda db: db.execute(sql, (request,)))
    async with scheduled(tmp_path, clock) as here:
        here.model.go_on.set()
        (run,) = await here.ended(1)
        assert run.state == "completed"
        sql = "SELECT id, message_id FROM turns"
        turns = await here.database.read(lambda db: [tuple(row) for row in db.execute(sql)])
        assert turns == [(run.turn_id, run.id)]
        assert [role for role, _ in await transcript(here.database, "schedule@s")] == ["user", "assistant"]


async def _request(here: Scheduled) -> str:
    """Write the request of the only turn there was once more."""
    sql = "SELECT message_id, message, session_id FROM turns"
    row = await here.database.read(lambda db: db.execute(sql).fetchone())
    return json.dumps(dict(row))


async def test_a_disk_that_is_full_delays_a_run_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocg.agent.schedules.scheduler._RETRY_S", 0.01)
    async with scheduled(tmp_path) as here:
        await here.schedules.add(hourly())
        claim, finish, failures = here.schedules.claim, here.schedules.finish, []

        async def full(*_: object) -> None:
            failures.append(1)
            raise OcgError(Code.DISK_FULL, "no room left", "free some space")

        monkeypatch.setattr(here.schedules, "claim", full)
        here.clock.set(NOON + HOUR)
        await here.looked()
        assert failures
        monkeypatch.setattr(here.schedules, "claim", claim)
        monkeypatch.setattr(here.schedules, "finish", full)
        failures.clear()
        await here.looked()
        await here.until(lambda _: len(failures) > 1)
        monkeypatch.setattr(here.schedules, "finish", finish)
        await here.ended(1)
        assert here.model.said == ["look"]


async def test_one_whose_zone_is_gone_rests_and_holds_up_no_other(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        for name in ("s", "other"):
            await here.schedules.add(hourly(name=name))
        await here.database.write(lambda db: db.execute("UPDATE schedules SET zone = 'Mars/Base' WHERE name = 's'"))
        here.clock.set(NOON + HOUR)
        await here.ended(1, "other")
        assert (await one_of(here.schedules)).is_paused
        here.clock.set(NOON - HOUR)
        await here.looked()
        with pytest.raises(OcgError, match="no time zone 'Mars/Base'"):
            await here.schedules.pause("s", is_paused=False)


async def test_the_history_has_a_bound_and_so_has_the_number_of_schedules(tmp_path: Path) -> None:
    async with opened(tmp_path, PlayedClock()) as (_, schedules):
        await schedules.add(hourly())
        for _ in range(103):
            schedules.clock.set(schedules.clock.now() + HOUR)  # type: ignore[attr-defined] # the played one
            await schedules.claim()
            ((begun),) = await schedules.begun((), 10)
            await schedules.finish(begun.id, None)
        runs = (await schedules.runs("s")).runs
        assert len(runs) == 100
        assert runs[0].due_at == NOON + 103 * HOUR
        for number in range(999):
            await schedules.add(hourly(name=f"n{number}"))
        with pytest.raises(OcgError) as caught:
            await schedules.add(hourly(name="more"))
        assert caught.value.code is Code.LIMIT


async def test_the_same_again_changes_nothing_and_another_of_the_name_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path, PlayedClock()) as (_, schedules):
        first = await schedules.add(hourly())
        assert await schedules.add(ScheduleRequest(name="s", when=" every  1h", message="look")) == first
        for other in (hourly("else"), ScheduleRequest(name="s", when="every 2h", message="look")):
            with pytest.raises(OcgError) as caught:
                await schedules.add(other)
            assert caught.value.code is Code.CONFLICT
        await schedules.remove("s")
        for job in (schedules.remove("s"), schedules.ask("s"), schedules.runs("s")):
            with pytest.raises(OcgError) as caught:
                await job
            assert caught.value.code is Code.NOT_FOUND


async def test_a_span_asked_for_again_is_one_that_is_to_come_and_none_that_is_over(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as here:
        once = ScheduleRequest(name="s", when="in 20m", message="hang")
        first = await here.schedules.add(once)
        here.clock.set(NOON + 2)
        assert await here.schedules.add(once) == first
        here.clock.set(NOON + 20 * MINUTE)
        await here.until(lambda runs: len(runs) == 1)
        with pytest.raises(OcgError) as caught:  # what runs may ask to be asked again: nothing would
            await here.schedules.add(once)
        assert caught.value.code is Code.CONFLICT
        here.model.go_on.set()
        await here.ended(1)


async def test_the_model_schedules_lists_and_removes(tmp_path: Path) -> None:
    async with opened(tmp_path, PlayedClock()) as (database, schedules):
        toolbox = Toolbox([ScheduleTool(schedules)])
        place = place_of(await Store(database).accept(TurnRequest(message="tea")))

        async def call(arguments: str) -> str:
            outcome = await toolbox.run(ToolUse(id="c", name="schedule", arguments=arguments), place)
            return outcome.content

        assert await call('{"action": "list"}') == "nothing is scheduled"
        tea = '{"action": "add", "name": "tea", "when": "at 2026-12-01 16:00", "message": "tea", "zone": "UTC"}'
        said = "tea (at 2026-12-01 16:00, next on Tuesday, 2026-12-01 16:00 (UTC, UTC+0000)): tea"
        assert await call(tea) == await call(tea) == f"scheduled {said}"
        assert await call('{"action": "list"}') == said
        assert "at `$.when`" in await call('{"action": "add", "name": "x"}')
        assert "no unit of time" in await call(tea.replace("at 2026-12-01 16:00", "every 3 moons"))
        assert await call('{"action": "remove", "name": "tea"}') == "removed tea"
        assert "no schedule" in await call('{"action": "remove", "name": "tea"}')


async def test_what_is_asked_for_in_a_channel_is_answered_there(tmp_path: Path) -> None:
    async with opened(tmp_path, PlayedClock()) as (database, schedules):
        irc = ReplyTo(channel="irc", address="#home")
        for name, reply_to in (("there", irc), ("here", None)):
            request = TurnRequest(message="remind me", session_id="s", reply_to=reply_to)
            place = place_of(await Store(database).accept(request))
            arguments = f'{{"action": "add", "name": "{name}", "when": "in 20m", "message": "tea"}}'
            await Toolbox([ScheduleTool(schedules)]).run(ToolUse(id="c", name="schedule", arguments=arguments), place)
        assert {one.name: one.reply_to for one in (await schedules.list()).schedules} == {"there": irc, "here": None}
