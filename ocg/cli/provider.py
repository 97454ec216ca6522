"""`ocg provider`: list, try and choose who gives the answers."""

import argparse
import asyncio
import grp
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from ocg import config
from ocg.cli import services, terminal
from ocg.cli.actions import Actions
from ocg.cli.agent import client_of
from ocg.config import edit, presets
from ocg.config.presets import CUSTOM, Choice
from ocg.errors import Code, OcgError
from ocg.protocol.messages import ProviderItem, ProviderTest

_KEY = "OCG_PROVIDER"
_STATES = {
    "": ("", terminal.DIM),
    "closed": ("ok", terminal.GREEN),
    "half_open": ("to be tried", terminal.YELLOW),
    "open": ("left alone", terminal.RED),
}


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    services.add_manager(parser)
    actions = Actions(parser)
    listing = actions.add("list", "list providers, those in use first, with their model, key and state")
    listing.add_argument("--json", action="store_true", help="print one JSON array")
    trying = actions.add("test", "have providers answer something short; without a name those in use")
    trying.add_argument("name", metavar="PROVIDER", nargs="*", help="a name, or name:model")
    using = actions.add("use", "write them into env.config, and have what runs use them")
    using.add_argument("name", metavar="PROVIDER", nargs="+", help="a name, or name:model; others are its fallbacks")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    match arguments.action:
        case "list":
            _list(asyncio.run(_items(arguments)), as_json=arguments.json)
        case "test":
            return asyncio.run(_test(arguments, _chosen(arguments.name)))
        case "use":
            _use(arguments, _chosen(arguments.name))
    return 0


def _chosen(names: list[str]) -> tuple[Choice, ...]:
    try:
        return presets.choices(" ".join(names))
    except ValueError as error:
        raise OcgError(Code.INVALID_REQUEST, f"{' '.join(names)}: {error}", "ocg provider list") from None


async def _items(arguments: argparse.Namespace) -> tuple[ProviderItem, ...]:
    async with client_of(arguments) as client:
        return (await client.providers()).providers


def _list(items: tuple[ProviderItem, ...], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([msgspec.to_builtins(one) for one in items]))
        return
    name, model = (max(len(getattr(one, field)) for one in items) for field in ("name", "model"))
    print(f"#  {'NAME':<{name}}  {'MODEL':<{model}}  {'KEY':<11}  STATE")
    for one in items:
        state, colour = _STATES[one.state]
        if one.state == "open":
            state = f"{state} for {one.left_s:.0f} s"
        said = terminal.paint(f"{state}: {one.why}" if one.why else state, colour)
        print(f"{one.place or '-'}  {one.name:<{name}}  {one.model or '-':<{model}}  {one.key:<11}  {said}".rstrip())


async def _test(arguments: argparse.Namespace, chosen: tuple[Choice, ...]) -> int:
    """Try each and say how it went; the exit status is the worst one's."""
    worst = 0
    async with client_of(arguments) as client:
        asked = [(one.preset.name, one.model) for one in chosen]
        if not asked:
            asked = [(one.name, "") for one in (await client.providers()).providers if one.place]
        for name, model in asked:
            try:
                terminal.line(_tried(await client.test_provider(name, model)))
            except OcgError as error:
                terminal.report(error)
                worst = max(worst, error.code.exit_status)
    return worst


def _tried(test: ProviderTest) -> str:
    said = " ".join(test.text.split())[:60]
    times = f"first word after {test.first_s:.2f} s, {test.total_s:.2f} s in all"
    cost = f", {test.usage.cost:.6f} US dollars" if test.usage.cost else ""
    ok, tokens = terminal.paint("ok", terminal.GREEN), f"{test.usage.total_tokens} tokens{cost}"
    return f"{test.name}: {ok}, {test.model or 'its model'}, {times}, {tokens}: {said}"


def _use(arguments: argparse.Namespace, chosen: tuple[Choice, ...]) -> None:
    manager = services.manager_name(arguments)
    file, value = services.file_of(arguments, manager), ",".join(map(str, chosen))
    now = services.settings_as(config.AgentSettings, arguments, manager)
    if any(one.preset.name == CUSTOM for one in chosen) and not now.base_url:
        raise OcgError(Code.CONFIG_INVALID, "custom is the API at OCG_BASE_URL, which is not set", f"set it in {file}")
    edit.put(file, _KEY, value, group=_group() if manager == "system" else None)
    terminal.line(f"{file}: {_KEY}={value}")
    for note in _notes(chosen, now):
        print(terminal.paint(note, terminal.YELLOW, sys.stderr), file=sys.stderr)
    try:
        services.show(services.manager_of(services.settings_of(arguments, manager), manager).reload())
    except OcgError as error:
        if error.code is not Code.NOT_RUNNING:
            raise
        terminal.line("nothing runs: it counts from the next start")
    else:
        asyncio.run(_forget_wish(arguments))


async def _forget_wish(arguments: argparse.Namespace) -> None:
    """End what `/model` chose, which would go on where the file says what it said before."""
    async with client_of(arguments) as client:
        await client.forget_wish()


def _notes(chosen: tuple[Choice, ...], now: config.AgentSettings) -> Iterator[str]:
    """Say what stands in the way; a key that only the service may read is none that is missing."""
    if os.environ.get(_KEY):
        yield f"{_KEY} in the environment wins over the file"
    for one in chosen:
        if one.preset.needs_key and not config.value_of(now, one.preset.key):
            yield f"{one.preset.name} wants a key: set {one.preset.key}, unless it is a credential of the service"


def _group() -> int | None:
    """Return the group of the system's services, which reads the file."""
    with suppress(KeyError):
        return grp.getgrnam("ocg").gr_gid
    return None
