"""Completions of `ocg` for bash, zsh and fish, by shtab."""

import argparse
from collections.abc import Iterator

import shtab

from ocg.cli.__main__ import build_parser
from ocg.config.presets import PRESETS
from ocg.managers.base import SERVICES
from ocg.managers.places import MANAGERS
from ocg.models import catalog

# What may stand for a placeholder; for one of an option, by the option's name.
_CHOICES = {
    "--manager": MANAGERS,
    "SERVICE": tuple(name.removeprefix("ocg-") for name in SERVICES),
    "PROVIDER": tuple(preset.name for preset in PRESETS),
    "NAME": tuple(model.name for model in catalog.load()),
}
_PATHS = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
_FILES = {"bash": "bash/ocg", "zsh": "zsh/_ocg", "fish": "fish/ocg.fish"}


def write() -> dict[str, str]:
    """Return the text of each shell's file by its name."""
    parser = build_parser()
    for action in _actions(parser):
        key = action.option_strings[-1] if action.option_strings else action.metavar
        if key in _CHOICES:
            action.choices = _CHOICES[key]
        if action.metavar in _PATHS:
            action.complete = _PATHS[action.metavar]  # type: ignore[attr-defined]
    return {name: shtab.complete(parser, shell) for shell, name in _FILES.items()}


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way, and shtab looks there, too
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for child in action.choices.values():
                yield from _actions(child)
