"""Named tokens: shown once, kept as hashes, good until they expire or are revoked; and what each caller may ask."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ocg.errors import Code, OcgError
from ocg.gateway.caller import OWNER, Caller
from ocg.gateway.tokens import FILE, Tokens
from ocg.lifecycle.worker import Worker
from ocg.protocol import wire
from ocg.protocol.access import TokenRequest
from ocg.protocol.messages import ReplyTo, TurnRequest

NOW = 1_800_000_000.0


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    found = Worker("test")
    yield found
    await found.close()


async def test_a_token_is_found_again_after_a_restart_and_is_nowhere_on_the_disk(
    tmp_path: Path, worker: Worker
) -> None:
    async with Tokens(tmp_path / "data", worker, now=lambda: NOW) as tokens:
        made = await tokens.create(TokenRequest(name="laptop", scopes=("chat", "read", "chat")))
        assert made.token.startswith("ocg_")
        assert len(made.token) >= 47
    file = tmp_path / "data" / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made.token not in file.read_text()
    assert list(file.parent.iterdir()) == [file]
    async with Tokens(tmp_path / "data", worker, now=lambda: NOW) as tokens:
        assert tokens.find(made.token) == Caller("laptop", frozenset({"chat", "read"}))
        for wrong in ("", "ocg_", made.token[:-1], made.token + "x", made.token.upper(), "é"):
            assert tokens.find(wrong) is None


async def test_a_token_is_good_up_to_its_expiry(tmp_path: Path, worker: Worker) -> None:
    clock = [NOW]
    async with Tokens(tmp_path, worker, now=lambda: clock[0]) as tokens:
        made = await tokens.create(TokenRequest(name="guest", expires_days=1))
        clock[0] = NOW + 86399
        assert tokens.find(made.token) == Caller("guest", frozenset({"chat"}), NOW + 86400)
        clock[0] = NOW + 86400
        assert tokens.find(made.token) is None


async def test_the_last_use_is_known_at_once_and_kept_at_the_end(tmp_path: Path, worker: Worker) -> None:
    clock = [NOW]
    async with Tokens(tmp_path, worker, now=lambda: clock[0]) as tokens:
        made = await tokens.create(TokenRequest(name="laptop"))
        assert tokens.items()[0].used_at is None
        clock[0] = NOW + 5
        tokens.find(made.token)
        assert tokens.items()[0].used_at == NOW + 5
        assert json.loads((tmp_path / FILE).read_text())["tokens"][0]["used_at"] is None
    async with Tokens(tmp_path, worker) as tokens:
        assert tokens.items()[0].used_at == NOW + 5


async def test_names_are_of_one_token_each_and_the_owners_is_taken(tmp_path: Path, worker: Worker) -> None:
    async with Tokens(tmp_path, worker) as tokens:
        await asyncio.gather(*(tokens.create(TokenRequest(name=f"n{number}")) for number in range(8)))
        assert len(json.loads((tmp_path / FILE).read_text())["tokens"]) == 8
        for name in ("n0", OWNER.name):
            with pytest.raises(OcgError) as caught:
                await tokens.create(TokenRequest(name=name))
            assert caught.value.code is Code.CONFLICT


async def test_the_name_of_a_revoked_token_is_not_given_again(
    tmp_path: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever had it next would have the conversations of whoever had it before."""
    monkeypatch.setattr("ocg.gateway.tokens._MAX_REVOKED", 2)
    async with Tokens(tmp_path, worker) as tokens:
        for name in ("one", "two", "three"):
            await tokens.create(TokenRequest(name=name))
            await tokens.revoke(name)
        assert tokens.items() == ()
    async with Tokens(tmp_path, worker) as tokens:
        for name in ("two", "three"):
            with pytest.raises(OcgError, match=f"a token {name!r} was revoked") as caught:
                await tokens.create(TokenRequest(name=name))
            assert caught.value.code is Code.CONFLICT
        await tokens.create(TokenRequest(name="one"))
        await tokens.create(TokenRequest(name="four"))
    kept = json.loads((tmp_path / FILE).read_text())
    assert kept["revoked"] == ["two", "three"], "not without end"


async def test_a_revoked_token_ends_what_is_open_with_it_and_nothing_else(tmp_path: Path, worker: Worker) -> None:
    async with Tokens(tmp_path, worker) as tokens:
        made, other = [await tokens.create(TokenRequest(name=name)) for name in ("lost", "kept")]
        entered = asyncio.Semaphore(0)

        async def stay(token: str) -> None:
            caller = tokens.find(token)
            assert caller is not None
            with tokens.visit(caller) as visit:
                async with visit:
                    entered.release()
                    await asyncio.Event().wait()

        lost = [asyncio.create_task(stay(made.token)) for _ in range(2)]
        kept = asyncio.create_task(stay(other.token))
        for _ in range(3):
            await entered.acquire()
        await tokens.revoke("lost")
        assert tokens.find(made.token) is None
        assert [type(one) for one in await asyncio.gather(*lost, return_exceptions=True)] == [TimeoutError] * 2
        assert not kept.done()
        kept.cancel()
        await asyncio.gather(kept, return_exceptions=True)
        assert tokens._visits == {}
        with pytest.raises(OcgError, match="no token 'lost'"):
            await tokens.revoke("lost")
    assert [one["name"] for one in json.loads((tmp_path / FILE).read_text())["tokens"]] == ["kept"]


async def test_what_is_open_ends_when_its_token_expires(tmp_path: Path, worker: Worker) -> None:
    async with Tokens(tmp_path, worker, now=lambda: NOW) as tokens:
        with tokens.visit(Caller("guest", frozenset({"chat"}), NOW + 0.05)) as visit, pytest.raises(TimeoutError):
            async with asyncio.timeout(5), visit:
                await asyncio.Event().wait()
        assert visit.expired()


async def test_a_token_that_cannot_be_taken_off_the_disk_counts_no_more_all_the_same(
    tmp_path: Path, worker: Worker
) -> None:
    async with Tokens(tmp_path, worker) as tokens:
        made = await tokens.create(TokenRequest(name="lost"))
        (tmp_path / f".{FILE}.new").mkdir()  # in the way of the new file
        with pytest.raises(OcgError, match="cannot be saved"):
            await tokens.revoke("lost")
        assert tokens.find(made.token) is None
        (tmp_path / f".{FILE}.new").rmdir()


@pytest.mark.parametrize("text", ["{", "[]", '{"tokens": [{"name": 1}]}'])
async def test_a_damaged_file_is_said_to_be_and_nothing_starts_without_it(
    tmp_path: Path, worker: Worker, text: str
) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(OcgError) as caught:
        await Tokens(tmp_path, worker).__aenter__()
    assert caught.value.code is Code.DATA_DAMAGED


async def test_a_file_that_others_may_write_is_not_believed(tmp_path: Path, worker: Worker) -> None:
    (tmp_path / FILE).write_text('{"tokens": []}')
    (tmp_path / FILE).chmod(0o666)
    with pytest.raises(OcgError) as caught:
        await Tokens(tmp_path, worker).__aenter__()
    assert caught.value.code is Code.UNSAFE_PATH


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "-a", "a b", "a\n", "x" * 33])
def test_a_name_has_no_full_stop_nor_anything_that_ends_a_path(name: str) -> None:
    with pytest.raises(OcgError):
        wire.decode(TokenRequest, json.dumps({"name": name}))


GUEST = Caller("guest", frozenset({"chat"}))
READER = Caller("reader", frozenset({"chat", "read"}))


def test_a_token_that_may_not_read_has_sessions_of_its_own() -> None:
    assert GUEST.session("work") == "guest.work"
    assert GUEST.session("guest.work") == "guest.work"
    assert GUEST.session("guests.work") == "guest.guests.work"
    assert READER.session("work") == OWNER.session("work") == "work"
    with pytest.raises(OcgError, match="too long"):
        GUEST.session("x" * 125)


def test_a_new_session_is_its_own_too_and_a_message_that_comes_again_finds_it() -> None:
    first, again = (GUEST.turn(TurnRequest(message="hi", message_id="m-1")).session_id for _ in range(2))
    assert first == again
    one, other = (GUEST.turn(TurnRequest(message="hi")).session_id for _ in range(2))
    assert one != other
    assert all(name and name.startswith("guest.") for name in (first, one, other))
    assert READER.turn(TurnRequest(message="hi")).session_id is None
    assert GUEST.turn(TurnRequest(message="hi", kind="api")).session_id is None


@pytest.mark.parametrize(
    "asked",
    [
        TurnRequest(message="hi", reply_to=ReplyTo(channel="telegram", address="somebody")),
        TurnRequest(message=" /Model  other"),
    ],
)
def test_what_reaches_others_is_the_owners_alone_to_ask(asked: TurnRequest) -> None:
    for caller in (GUEST, READER):
        with pytest.raises(OcgError, match="admin") as caught:
            caller.turn(asked)
        assert caught.value.code is Code.FORBIDDEN
    assert OWNER.turn(asked) == asked


def test_talking_of_models_is_no_command() -> None:
    for message in ("/model", "what is /model x"):
        assert GUEST.turn(TurnRequest(message=message, session_id="guest.a")).message == message
