"""`ocg models`: list, pull, check and remove models."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ocg.cli import services, terminal
from ocg.cli.actions import Actions
from ocg.errors import Code, OcgError
from ocg.models import catalog, store
from ocg.models.handover import workplace

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import Progress, TaskID

    from ocg.models.progress import Report

_COLOURS = {
    store.State.HERE: terminal.GREEN,
    store.State.DAMAGED: terminal.RED,
    store.State.PARTIAL: terminal.YELLOW,
    store.State.MISSING: terminal.DIM,
}
_STEP_PERCENT = 25


@dataclass(frozen=True, slots=True)
class Row:
    """A model in the list; what is not in the catalog came from a file of the user's or by a package."""

    name: str
    kind: str
    size_bytes: int
    licence: str
    state: store.State
    summary: str
    default: bool = False
    tools: bool = False


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    services.add_manager(parser)
    actions = Actions(parser)
    listing = actions.add("list", "list the catalog and what is here")
    listing.add_argument("--json", action="store_true", help="print one JSON array")
    pull = actions.add("pull", "bring models; without a name the defaults")
    pull.add_argument("name", metavar="NAME", nargs="*", help="a name of the catalog, or the path of a GGUF file")
    for name, summary in (("rm", "delete a model"), ("path", "print where a model lies")):
        actions.add(name, summary).add_argument("name", metavar="NAME", help="a name that ocg models list shows")
    verify = actions.add("verify", "check models against their checksums; without a name all")
    verify.add_argument("name", metavar="NAME", nargs="*", help="a name that ocg models list shows")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    folder = services.settings_of(arguments).models_dir
    _check_readable(folder)
    match arguments.action:
        case "list":
            _list(folder, as_json=arguments.json)
        case "pull":
            _pull(folder, tuple(arguments.name))
        case "rm":
            store.remove(folder, arguments.name)
        case "path":
            print(store.resolve(folder, arguments.name))
        case "verify":
            return _verify(folder, tuple(arguments.name) or store.names(folder))
    return 0


def _check_readable(folder: "Path") -> None:
    """Raise FORBIDDEN where the models are those of the system's services, and we are not root."""
    try:
        os.scandir(folder).close()
    except PermissionError:
        raise OcgError(
            Code.FORBIDDEN,
            f"you may not read {folder}, where the services have their models",
            "use sudo; or --manager direct, for services of your own",
        ) from None
    except OSError:
        return  # whoever needs it says so


def _list(folder: "Path", *, as_json: bool) -> None:
    rows = tuple(_rows(folder))
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    width = max(len(row.name) for row in rows)
    print(f"{'NAME':<{width}}  {'KIND':<9}  {'SIZE':>7}  {'LICENCE':<10}  {'STATE':<7}  DESCRIPTION")
    for row in rows:
        # Painted after padding, or the escapes would count as columns.
        state = terminal.paint(f"{row.state:<7}", _COLOURS[row.state])
        size = f"{row.size_bytes / 1e6:.0f} MB"
        print(f"{row.name:<{width}}  {row.kind:<9}  {size:>7}  {row.licence:<10}  {state}  {row.summary}")


def _rows(folder: "Path") -> Iterator[Row]:
    known = catalog.load()
    for one in known:
        state = store.state(folder, one)
        default = one.name in catalog.DEFAULTS
        yield Row(one.name, one.kind, one.size_bytes, one.licence, state, one.summary, default, one.tools)
    for name in set(store.names(folder)) - {one.name for one in known}:
        path = store.find(folder, name)
        origin = "from a file of yours" if path.parent == folder else "from a package"
        yield Row(name, "", path.stat().st_size, "", store.State.HERE, origin)


def _pull(folder: "Path", names: tuple[str, ...]) -> None:
    """Pull each; a plain `ocg models pull` with all there says nothing, as make wants it."""
    with workplace(folder) as place:
        for name in names or catalog.DEFAULTS:
            if "/" not in name and store.state(folder, catalog.find(name)) is store.State.HERE:
                path = store.find(folder, name)
            else:
                path = folder / _pull_one(place, name).name
            if names:
                terminal.line(f"{path.stem}: {terminal.paint('here', terminal.GREEN)}, {path}")


def _pull_one(place: "Path", name: str) -> "Path":
    try:
        with _progress(name) as report:
            return store.pull(place, name, report)
    except KeyboardInterrupt:
        if kept := store.kept_bytes(place, name):
            print(f"{name}: {kept / 1e6:.0f} MB are kept; the next pull goes on from them", file=sys.stderr)
        raise


def _verify(folder: "Path", names: Iterable[str]) -> int:
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
def _progress(name: str) -> "Iterator[Report]":
    """Draw a bar on a terminal, print lines elsewhere. What does nothing draws nothing."""
    if not sys.stdout.isatty():
        yield Lines(name)
        return
    with ExitStack() as shown:
        yield Bars(name, shown)


class Lines:
    """A line as each step begins, and one for each quarter of a download, the one that takes long; for logs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said: dict[str, int] = {}

    def __call__(self, what: str, done_bytes: int, total_bytes: int, /) -> None:
        """Print what is new."""
        percent = done_bytes * 100 // total_bytes if total_bytes else 0
        step = min(percent, 100) // _STEP_PERCENT * _STEP_PERCENT
        if what not in self._said:
            print(f"{self._name}: {what}" + (f" {total_bytes / 1e6:.0f} MB" if total_bytes else ""), flush=True)
        if step > self._said.setdefault(what, 0) and what == "downloading":
            self._said[what] = step
            print(f"{self._name}: {what} {step} %", flush=True)


class Bars:
    """A bar for each step, drawn with rich, which is imported and begun at the first progress there is."""

    def __init__(self, name: str, shown: ExitStack) -> None:
        self._name = name
        self._shown = shown
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done_bytes: int, total_bytes: int, /) -> None:
        """Draw it."""
        self._progress = progress = self._progress or self._begin()
        if what not in self._tasks:
            self._tasks[what] = progress.add_task(f"{self._name}: {what}", total=None)
        progress.update(self._tasks[what], completed=done_bytes, total=total_bytes or None)

    def _begin(self) -> "Progress":
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415 - slow to import

        text = TextColumn("{task.description:<26}")
        return self._shown.enter_context(Progress(text, BarColumn(), DownloadColumn(), TransferSpeedColumn()))
