"""`ocg service`: the units for a checkout or a virtual environment; a distribution's package brings its own."""

import argparse
import json
import os
import shlex
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ocg.cli import terminal
from ocg.cli.actions import Actions
from ocg.errors import EX_NOT_RUNNING, Code, OcgError

if TYPE_CHECKING:
    from ocg.managers.install.layout import Layout
    from ocg.managers.install.overview import Overview, UnitState
    from ocg.managers.install.program import Program


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    actions = Actions(parser)
    install = actions.add("install", "write the units of this OCG and enable them; starts nothing")
    uninstall = actions.add("uninstall", "stop, disable and remove them; settings and data stay")
    uninstall.add_argument("--purge", action="store_true", help="delete settings, models and conversations, too")
    show = actions.add("show", "say what is installed, and where everything lies")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    for action in (install, uninstall, show):
        action.add_argument("--user", action="store_true", help="for your own user's manager, not the system's")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    from ocg.managers.install.layout import Layout  # noqa: PLC0415 - with what follows 30 ms

    layout = Layout.user(os.environ) if arguments.user else Layout.system()
    if arguments.action == "show":
        return _show(layout, as_json=arguments.json)
    _check_user(arguments)
    try:
        if arguments.action == "install":
            _install(layout)
        else:
            _uninstall(layout, purge=arguments.purge)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OcgError(
            Code.UNSAFE_PATH, f"{error.filename}: {error.strerror}", "mend that; the same command goes on from there"
        ) from None
    return 0


def _check_user(arguments: argparse.Namespace) -> None:
    """Root for the system's manager, and no sudo for a user's. Raises FORBIDDEN with the command to use."""
    if arguments.user:
        if os.geteuid() == 0 and os.environ.get("SUDO_USER"):
            raise OcgError(
                Code.FORBIDDEN, "with sudo, --user is root's own manager", f"run it as {os.environ['SUDO_USER']}"
            )
    elif os.geteuid() != 0:
        words = [str(_script()), "service", arguments.action, *(["--purge"] if vars(arguments).get("purge") else [])]
        raise OcgError(
            Code.FORBIDDEN,
            "only root may change the system's units",
            f"sudo {shlex.join(words)}, or for you alone: add --user",
        )


def _script() -> Path:
    """Return the path of the `ocg` that runs."""
    return Path(sys.executable).with_name("ocg")


def _install(layout: "Layout") -> None:
    from ocg.managers.install.host import Machine  # noqa: PLC0415 - as above
    from ocg.managers.install.installation import Installation  # noqa: PLC0415 - as above
    from ocg.managers.install.program import Program  # noqa: PLC0415 - as above

    program = Program.here()
    host = Machine(user=layout.is_user, environ=os.environ)
    Installation(layout, host, program, os.environ, terminal.line).install()
    _advise(layout, program)


def _advise(layout: "Layout", program: "Program") -> None:
    """Say what comes next."""
    own = Path("env.config").absolute()
    if own.exists() and own != layout.settings:
        terminal.line(f"Note: {own} is not what the units read; copy what you need to {layout.settings}")
    found = shutil.which("ocg")
    script = "ocg" if found and Path(found).samefile(program.scripts / "ocg") else shlex.quote(f"{program.scripts}/ocg")
    if layout.is_user:
        terminal.line(f"Start it with: {script} start")
        return
    user = os.environ.get("SUDO_USER") or "USER"
    terminal.line(f"Start it with: sudo {script} start")
    terminal.line(f"To do so without sudo, and to talk to the agent: sudo usermod -aG ocg {user}, then log in anew")


def _uninstall(layout: "Layout", *, purge: bool) -> None:
    from ocg.managers.install.host import Machine  # noqa: PLC0415 - as above
    from ocg.managers.install.removal import Removal  # noqa: PLC0415 - as above

    Removal(layout, Machine(user=layout.is_user, environ=os.environ), terminal.line).uninstall(purge=purge)


def _show(layout: "Layout", *, as_json: bool) -> int:
    """Print the overview; exit status 3 when nothing is installed, as `ocg status` has it."""
    from ocg.managers.install.host import Machine  # noqa: PLC0415 - as above
    from ocg.managers.install.overview import look  # noqa: PLC0415 - as above

    overview = look(layout, Machine(user=layout.is_user, environ=os.environ))
    print(json.dumps(asdict(overview)) if as_json else as_text(overview))
    return 0 if overview.is_installed else EX_NOT_RUNNING


def as_text(overview: "Overview") -> str:
    """Write it for people."""
    if not overview.is_installed:
        command = "ocg service install --user" if overview.manager == "user" else "sudo ocg service install"
        return f"Nothing is installed for the {overview.manager}'s manager; to do so: {command}"
    lines = [line for one in overview.units if one.path for line in _unit_lines(one)]
    places = {
        "Settings": overview.config,
        "Data": overview.data,
        "Runtime": overview.runtime,
        "Agent": overview.agent_socket,
        "Embedding": overview.embedding_socket,
        "Lingering": {True: "yes", False: "no: it ends with the last login", None: ""}[overview.lingering],
    }
    return "\n".join([*lines, *(f"{name + ':':<10} {place}" for name, place in places.items() if place)])


def _unit_lines(one: "UnitState") -> list[str]:
    return [f"{one.unit:<22} {one.enabled:<9} {one.active:<9} {one.path}", *(f"  + {path}" for path in one.drop_ins)]
