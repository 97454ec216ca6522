"""`ocg models`: list, pull, check and remove models."""

import argparse
import functools
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ocg import config
from ocg.cli import terminal
from ocg.errors import OcgError
from ocg.models import catalog, store
from ocg.models.fetch import Report

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import Progress, TaskID


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = commands.add_parser("list", help="list the catalog and what is here")
    listing.add_argument("--json", action="store_true", help="print one JSON array")
    pull = commands.add_parser("pull", help="bring models; without a name the defaults")
    pull.add_argument("name", nargs="*", help="a name of the catalog, or the path of a GGUF file")
    commands.add_parser("rm", help="delete a model").add_argument("name")
    commands.add_parser("path", help="print where a model lies").add_argument("name")
    verify = commands.add_parser("verify", help="check models against their checksums; without a name all")
    verify.add_argument("name", nargs="*")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    folder = config.gather(config.Common, {"OCG_CONFIG": arguments.config or ""}).models_dir
    match arguments.action:
        case "list":
            _list(folder, as_json=arguments.json)
        case "pull":
            _pull(folder, tuple(arguments.name) or catalog.DEFAULTS)
        case "rm":
            store.remove(folder, arguments.name)
        case "path":
            print(store.resolve(folder, arguments.name))
        case "verify":
            return _verify(folder, tuple(arguments.name) or store.names(folder))
    return 0


def _list(folder: "Path", *, as_json: bool) -> None:
    known = catalog.load()
    others = [name for name in store.names(folder) if name not in {model.name for model in known}]
    if as_json:
        rows = [
            {"name": one.name, "kind": one.kind, "size_bytes": one.size_bytes, "licence": one.licence}
            | {"here": store.is_here(folder, one), "summary": one.summary}
            for one in known
        ]
        print(json.dumps(rows + [{"name": name, "here": True} for name in others]))
        return
    for one in known:
        state = (
            terminal.paint("here", terminal.GREEN)
            if store.is_here(folder, one)
            else terminal.paint("-   ", terminal.DIM)
        )
        print(f"{one.name:<14} {one.kind:<10} {one.size_bytes / 1e6:7.0f} MB  {one.licence:<11} {state}  {one.summary}")
    for name in others:
        print(f"{name:<14} {'':<10} {'':>10}  {'':<11} {terminal.paint('here', terminal.GREEN)}  from a file of yours")


def _pull(folder: "Path", names: tuple[str, ...]) -> None:
    for name in names:
        with _progress(name) as report:
            store.pull(folder, name, report)


def _verify(folder: "Path", names: tuple[str, ...]) -> int:
    """Check each and say so; the exit status is the worst one's."""
    worst = 0
    for name in names:
        try:
            with _progress(name) as report:
                store.verify(folder, name, report)
            terminal.line(f"{name}: {terminal.paint('ok', terminal.GREEN)}")
        except OcgError as error:
            terminal.report(error)
            worst = max(worst, error.code.exit_status)
    return worst


@contextmanager
def _progress(name: str) -> Iterator[Report]:
    """Draw a bar on a terminal; elsewhere print a line for each thing that is begun. Nothing done draws nothing."""
    if not sys.stdout.isatty():
        yield _lines(name)
        return
    with ExitStack() as shown:
        yield _bar(name, shown)


def _lines(name: str) -> Report:
    said: set[str] = set()

    def report(what: str, done: int, total: int) -> None:
        del done
        if what not in said:
            said.add(what)
            print(f"{name}: {what}" + (f" ({total / 1e6:.0f} MB)" if total else ""), flush=True)

    return report


def _bar(name: str, shown: ExitStack) -> Report:
    """Draw with rich, imported and begun at the first progress there is."""

    @functools.cache
    def bars() -> "Progress":
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415

        text = TextColumn("{task.description:<26}")
        return shown.enter_context(Progress(text, BarColumn(), DownloadColumn(), TransferSpeedColumn()))

    @functools.cache
    def task(what: str, total: int) -> "TaskID":
        return bars().add_task(f"{name}: {what}", total=total or None)

    def report(what: str, done: int, total: int) -> None:
        bars().update(task(what, total), completed=done)

    return report
