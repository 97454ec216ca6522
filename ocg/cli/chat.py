"""`ocg chat`: one question for pipes, or a conversation in the terminal."""

import argparse
import asyncio
import sys
from pathlib import Path

from ocg.cli import services, terminal
from ocg.cli.agent import owners_of
from ocg.cli.answer import Answerer
from ocg.errors import Code, OcgError
from ocg.managers.places import SYSTEM
from ocg.protocol.clients import AgentClient

_MAX_INPUT_CHARS = 1 << 20


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    services.add_manager(parser)
    parser.add_argument(
        "question", metavar="QUESTION", nargs="*", help="ask this and print the answer; standard input is added to it"
    )
    parser.add_argument("--session", metavar="ID", help="go on with this conversation (default: a new one)")


def run(arguments: argparse.Namespace) -> int:
    """Ask once when there is a question or standard input is no terminal, else converse."""
    name = services.manager_name(arguments)
    settings = services.settings_of(arguments, name)
    owners = owners_of(settings.agent_sock, name)
    question = " ".join(arguments.question)
    if not sys.stdin.isatty():
        question = f"{question}\n\n{_piped()}".strip()
        if not question:
            raise OcgError(Code.INVALID_REQUEST, "nothing to ask: standard input is empty", 'try: ocg chat "hello"')
    client = AgentClient(settings.agent_sock, owners=owners)
    session = arguments.session
    # What was typed is the user's, whoever has the rest.
    folder = Path("~/.ocg").expanduser() if name == SYSTEM else settings.data_dir
    asyncio.run(_once(client, question, session) if question else _converse(client, session, folder))
    return 0


def _piped() -> str:
    text = sys.stdin.read(_MAX_INPUT_CHARS + 1)
    if len(text) > _MAX_INPUT_CHARS:
        raise OcgError(Code.TOO_LARGE, "standard input is larger than 1 MiB", "send less at once")
    return text


async def _once(agent: AgentClient, question: str, session: str | None) -> None:
    async with agent as client:
        answerer = Answerer(client, session)
        await answerer.ask(question)


async def _converse(agent: AgentClient, session: str | None, folder: Path) -> None:
    from ocg.cli.conversation import converse  # noqa: PLC0415 - prompt_toolkit takes 0.1 s to import

    async with agent as client:
        await client.health()
        print(terminal.paint("/help shows the commands. Ctrl-C stops an answer, Ctrl-D ends.", terminal.DIM))
        await converse(Answerer(client, session), folder)
