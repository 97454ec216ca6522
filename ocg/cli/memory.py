"""`ocg memory`: what the agent remembers, found, added, listed, removed, and carried from one machine to another."""

import argparse
import asyncio
import datetime as dt
import json
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, TypeVar

import msgspec

from ocg.cli import agent, services, terminal
from ocg.cli.actions import Actions
from ocg.errors import Code, OcgError
from ocg.protocol import wire
from ocg.protocol.clients import AgentClient
from ocg.protocol.messages import MAX_IMPORTED, Memory, MemoryImported, MemoryRecord, MemoryRequest

T = TypeVar("T")

_MAX_LISTED = 1000
_MAX_LINE_BYTES = 128 << 10
_MAX_BATCH_CHARS = 1 << 20
_SHORT_ID = 8


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    services.add_manager(parser)
    actions = Actions(parser)
    search = actions.add("search", "find memories, best first")
    search.add_argument("query", metavar="QUERY", nargs="+", help="words, or a question")
    _add_listing(search, 10)
    add = actions.add("add", "remember something")
    add.add_argument("text", metavar="TEXT", nargs="+", help="one fact, in a sentence that stands on its own")
    add.add_argument(
        "--kind", metavar="KIND", default="fact", help="fact, preference, decision, note … (default: fact)"
    )
    add.add_argument("--tag", metavar="TAG", action="append", default=[], help="a tag; may be given more than once")
    add.add_argument("--importance", metavar="N", type=float, default=0.5, help="0 to 1 (default: 0.5)")
    _add_listing(actions.add("list", "list memories, newest first"), 20)
    remove = actions.add("rm", "delete memories, or proposals")
    remove.add_argument("id", metavar="ID", nargs="+", help="an id that ocg memory list shows, or its beginning")
    proposed = actions.add("proposed", "list what the agent would like to remember (OCG_AUTO_CAPTURE=ask)")
    proposed.add_argument("--json", action="store_true", help="print one JSON object a line")
    accept = actions.add("accept", "have the agent remember what it proposed")
    accept.add_argument("id", metavar="ID", nargs="+", help="an id that ocg memory proposed shows, or its beginning")
    taking = actions.add("import", "take memories in, one JSON object a line; the same again changes nothing")
    taking.add_argument("file", metavar="FILE", nargs="?", default="-", help="the file (default: standard input)")
    giving = actions.add("export", "write all memories, one JSON object a line; those in files stay there")
    giving.add_argument("file", metavar="FILE", nargs="?", default="-", help="a new file (default: standard output)")


def _add_listing(parser: argparse.ArgumentParser, limit: int) -> None:
    parser.add_argument("--limit", metavar="N", type=int, default=limit, help=f"at the most (default: {limit})")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    client = agent.client_of(arguments)
    match arguments.action:
        case "search":
            found = _do(client, client.memories(" ".join(arguments.query), limit=_limit(arguments.limit)))
            _show(found.memories, as_json=arguments.json, scored=True)
        case "list":
            _show(_do(client, client.memories(limit=_limit(arguments.limit))).memories, as_json=arguments.json)
        case "proposed":
            _show(_do(client, client.proposed_memories()).memories, as_json=arguments.json)
        case "add":
            print(_do(client, client.remember(_request(arguments))).id)
        case "rm":
            _do(client, _remove(client, arguments.id))
        case "accept":
            count = _do(client, _accept(client, arguments.id))
            terminal.line(f"{count} remembered")
        case "import":
            with _reading(arguments.file) as stream:
                _said(_do(client, _import(client, stream)))
        case "export":
            with _writing(arguments.file) as stream:
                _do(client, _export(client, stream))
    return 0


def _do(client: AgentClient, job: Coroutine[Any, Any, T]) -> T:
    async def whole() -> T:
        async with client:
            return await job

    return asyncio.run(whole())


def _limit(number: int) -> int:
    if not 1 <= number <= _MAX_LISTED:
        raise OcgError(Code.INVALID_REQUEST, f"--limit {number} does not fit", f"give a number from 1 to {_MAX_LISTED}")
    return number


def _request(arguments: argparse.Namespace) -> MemoryRequest:
    """Check what was typed as the agent does. Raises INVALID_REQUEST."""
    given = {
        "text": " ".join(arguments.text),
        "kind": arguments.kind,
        "tags": arguments.tag,
        "importance": arguments.importance,
    }
    return wire.decode(MemoryRequest, json.dumps(given))


def _show(memories: Sequence[Memory], *, as_json: bool, scored: bool = False) -> None:
    for one in memories:
        if as_json:
            print(wire.encode(one).decode())
            continue
        day = dt.datetime.fromtimestamp(one.updated_at, dt.UTC).astimezone().strftime("%Y-%m-%d")
        score = f"{one.score or 0.0:.2f}  " if scored else ""
        about = "  ".join(part for part in (one.kind, one.source, " ".join(f"#{tag}" for tag in one.tags)) if part)
        text = " ".join(one.text.split())
        terminal.line(f"{one.id[:_SHORT_ID]}  {score}{text}  {terminal.paint(f'{day}  {about}', terminal.DIM)}")


async def _remove(client: AgentClient, beginnings: Sequence[str]) -> None:
    for one in await _whole_ids(client, beginnings):
        await client.forget(one)


async def _accept(client: AgentClient, beginnings: Sequence[str]) -> int:
    waiting = (await client.proposed_memories()).memories
    return await client.accept_memories([_pick(one, [memory.id for memory in waiting]) for one in beginnings])


async def _whole_ids(client: AgentClient, beginnings: Sequence[str]) -> list[str]:
    """Complete ids of which only the beginning was typed."""
    known = [one.id for one in (await client.proposed_memories()).memories]
    known += [one.id for one in (await client.memories(limit=_MAX_LISTED)).memories]
    return [_pick(one, known) for one in beginnings]


def _pick(beginning: str, known: Sequence[str]) -> str:
    """Return the id that begins so; one that is typed whole need not be among the known. Raises CONFLICT, NOT_FOUND."""
    fitting = [one for one in known if one.startswith(beginning)]
    if beginning in fitting:
        return beginning
    if len(fitting) > 1:
        raise OcgError(
            Code.CONFLICT, f"{len(fitting)} ids begin with {beginning!r}", "type more of it (--json shows all)"
        )
    return fitting[0] if fitting else beginning


async def _import(client: AgentClient, stream: IO[bytes]) -> MemoryImported:
    """Send what is read, some lines at a time; what came before a bad line is taken in. Raises it with its number."""
    done = MemoryImported()
    batch: list[MemoryRecord] = []
    chars = 0
    try:
        for record in _records(stream):
            batch.append(record)
            chars += len(record.text)
            if len(batch) == MAX_IMPORTED or chars > _MAX_BATCH_CHARS:
                done, batch, chars = _sum(done, await client.import_memories(batch)), [], 0
    except OcgError:
        if batch:
            await client.import_memories(batch)
        raise
    return _sum(done, await client.import_memories(batch)) if batch else done


def _records(stream: IO[bytes]) -> Iterator[MemoryRecord]:
    number = 0
    while line := stream.readline(_MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > _MAX_LINE_BYTES:
            raise _bad(number, OcgError(Code.TOO_LARGE, f"longer than {_MAX_LINE_BYTES >> 10} KiB"))
        if line.strip():
            try:
                yield wire.decode(MemoryRecord, line)
            except OcgError as error:
                raise _bad(number, error) from None


def _bad(number: int, error: OcgError) -> OcgError:
    why = error.message.replace("the request does not fit", "it does not fit").replace("the body", "it")
    return OcgError(error.code, f"line {number}: {why}", "correct it and import again: what came before it is kept")


def _sum(one: MemoryImported, other: MemoryImported) -> MemoryImported:
    return MemoryImported(
        added=one.added + other.added, updated=one.updated + other.updated, unchanged=one.unchanged + other.unchanged
    )


def _said(done: MemoryImported) -> None:
    print(f"{done.added} added, {done.updated} updated, {done.unchanged} unchanged", file=sys.stderr)


async def _export(client: AgentClient, stream: IO[bytes]) -> None:
    after: int | None = 0
    while after is not None:
        page = await client.export_memories(after)
        for one in page.memories:
            fields = {key: value for key, value in msgspec.structs.asdict(one).items() if key != "score"}
            stream.write(msgspec.json.encode(fields) + b"\n")
        after = page.next


@contextmanager
def _reading(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        with open(name, "rb") as stream:
            yield stream
    except OSError as error:
        raise OcgError(Code.NOT_FOUND, f"{name}: {error.strerror}", "name a file that you may read") from None


@contextmanager
def _writing(name: str) -> Iterator[IO[bytes]]:
    """Open a file that is not there yet: nobody's is overwritten by mistake."""
    if name == "-":
        yield sys.stdout.buffer
        return
    try:
        with open(name, "xb") as stream:
            yield stream
    except OSError as error:
        raise OcgError(Code.CONFLICT, f"{name}: {error.strerror}", "name a new file") from None
