"""`ocg chat`: one question for pipes, or a conversation in the terminal."""

import argparse
import asyncio
import sys

from ocg import config
from ocg.cli import services, terminal
from ocg.cli.answer import Answerer
from ocg.errors import Code, OcgError
from ocg.protocol.clients import AgentClient

_MAX_INPUT_CHARS = 1 << 20


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    services.add_manager(parser)
    parser.add_argument("question", nargs="*", help="ask this and print the answer; standard input is added to it")
    parser.add_argument("--session", metavar="ID", help="go on with this conversation (default: a new one)")


def run(arguments: argparse.Namespace) -> int:
    """Ask once when there is a question or standard input is no terminal, else converse."""
    settings = services.settings_of(arguments)
    question = " ".join(arguments.question)
    if not sys.stdin.isatty():
        question = f"{question}\n\n{_piped()}".strip()
        if not question:
            raise OcgError(Code.INVALID_REQUEST, "nothing to ask: standard input is empty", 'try: ocg chat "hello"')
    asyncio.run(_once(settings, question, arguments.session) if question else _converse(settings, arguments.session))
    return 0


def _piped() -> str:
    text = sys.stdin.read(_MAX_INPUT_CHARS + 1)
    if len(text) > _MAX_INPUT_CHARS:
        raise OcgError(Code.TOO_LARGE, "standard input is larger than 1 MiB", "send less at once")
    return text


async def _once(settings: config.Common, question: str, session: str | None) -> None:
    async with AgentClient(settings.agent_sock) as client:
        answerer = Answerer(client, session)
        await answerer.ask(question)


async def _converse(settings: config.Common, session: str | None) -> None:
    from ocg.cli.conversation import converse  # noqa: PLC0415 - prompt_toolkit takes 0.1 s to import

    async with AgentClient(settings.agent_sock) as client:
        await client.health()
        print(terminal.paint("/help shows the commands. Ctrl-C stops an answer, Ctrl-D ends.", terminal.DIM))
        await converse(Answerer(client, session), settings.data_dir)
