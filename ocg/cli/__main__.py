"""The `ocg` command: finds the command's module, and turns every error into one line and an exit status."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ocg import __version__
from ocg.cli import terminal
from ocg.errors import EX_SOFTWARE, OcgError


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and the module that has its `register(parser)` and `run(arguments)`."""

    name: str
    module: str
    summary: str
    details: str = ""
    hidden: bool = False


COMMANDS = (
    Command(
        "start",
        "start",
        "start the three services, in order, and print the page's address",
        "When a service does not start, the end of its log is shown.",
    ),
    Command("stop", "stop", "stop the three services, in order", "To have nothing to stop is no error."),
    Command("restart", "start", "stop what runs and start again"),
    Command(
        "reload",
        "reload",
        "have what runs read its configuration again, without an interruption",
        "A configuration with a mistake in it is refused as a whole; what takes a restart is named in the log.",
    ),
    Command(
        "status",
        "status",
        "say what runs and whether it is healthy",
        "The exit status is 0 when all is well, 3 when nothing runs, and 1 otherwise.",
    ),
    Command("logs", "logs", "show the journal, or the log files where there is none"),
    Command(
        "open",
        "open",
        "print a fresh link to the page, and open it where there is a desktop",
        "The link has a code in it that works once, for ten minutes; the token itself is in no link.",
    ),
    Command(
        "chat",
        "chat",
        "talk to the agent, or ask it one thing",
        "Without a question it converses, where standard input is a terminal.",
    ),
    Command("agent", "chat", "the same as chat"),
    Command(
        "provider",
        "provider",
        "list, try and choose who gives the answers",
        "A provider is named as NAME or NAME:MODEL; ocg provider list shows the names.",
    ),
    Command(
        "memory",
        "memory",
        "find, add, list, remove, import and export what the agent remembers",
        "An import may be repeated; a line that does not fit is named, and what came before it is kept.",
    ),
    Command(
        "schedule",
        "schedule",
        "list, add, remove, run, pause and resume what the agent is asked at certain times",
        "Each run is a turn in a conversation of its own. What was missed while nothing ran is caught up once.",
    ),
    Command(
        "skill",
        "skill",
        "list and show what the agent can learn to do when it needs it",
        "A skill is a folder with a SKILL.md, in OCG_DATA_DIR/skills, /usr/share/ocg/skills or the workspace.",
    ),
    Command(
        "mcp",
        "mcp",
        "list and try the MCP servers whose tools the agent has, and be such a server for others",
        "mcp.json beside the data names the servers, in the form that other clients use.",
    ),
    Command(
        "approval",
        "approval",
        "list, allow and deny calls of tools that wait for it, and show what was decided",
        "Which calls are asked about, policy.toml beside the data says; a call that nobody allows is denied.",
    ),
    Command(
        "hook",
        "hook",
        "list the programs that are called when something happens",
        "They lie in the folder hooks beside the data, in a folder for each event; docs/hooks.md names the events.",
    ),
    Command(
        "token",
        "token",
        "make, list and revoke tokens for programs and people",
        "chat is talking to the agent and the models; read is seeing conversations, memories and how things are; admin"
        " is everything. Without read, a token has conversations of its own.",
    ),
    Command(
        "ratelimit",
        "ratelimit",
        "list, set and lift limits of how often a token, a channel or a sender may ask",
        "Of 60/min, 60 may come at once, and then one each second.",
    ),
    Command("models", "models", "list, pull, check and remove models"),
    Command(
        "service",
        "service",
        "install, remove or show the units for systemd",
        "They are for a checkout or a virtual environment: a distribution's package brings its own.",
    ),
    Command("alert", "alert", "report that a service gave up (run by its unit)", hidden=True),
    Command("version", "version", "print the version, the commit and the build"),
)


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Build the parser; with `only`, no other command's module is imported."""
    parser = argparse.ArgumentParser(
        prog="ocg",
        description="OCG, a local AI agent that the operating system runs.",
        epilog="Options of a command: ocg COMMAND --help. Manual pages: ocg(1), env.config(5).",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"ocg {__version__}", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        shown: dict[str, Any] = {} if command.hidden else {"help": command.summary}
        child = commands.add_parser(command.name, description=command.summary, epilog=command.details, **shown)
        child.add_argument("--config", metavar="FILE", help="the env.config to read (default: ./env.config)")
        if only in {None, command.name}:
            module = _module(command)
            module.register(child)
            child.set_defaults(run=module.run)
    return parser


def _module(command: Command) -> ModuleType:
    return importlib.import_module(f"ocg.cli.{command.module}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run the command line; return the exit status. Only what is a bug of ours prints a traceback."""
    try:
        arguments = build_parser(argv[0] if argv else "").parse_args(argv)
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except OcgError as error:
        terminal.report(error)
        return error.code.exit_status
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as a shell counts
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # 128 + SIGPIPE: whoever read us, `head` say, has enough
    except Exception:  # noqa: BLE001 - the one guard of the whole program
        terminal.report_bug()
        return EX_SOFTWARE
    return status


if __name__ == "__main__":
    main()
