"""The conversation in the terminal: a prompt with history and several lines, and a few commands."""

import os
import time
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.formatted_text import HTML
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from ocg.cli import terminal
from ocg.cli.answer import Answerer
from ocg.errors import OcgError

_HELP = """\
/new            begin a new conversation
/sessions       list conversations
/open ID        go on with one
/quit           end (or Ctrl-D)
/compact        sum up what was said, to make room; /compact TEXT keeps that above all
/status         the model, how full its context is, messages and memories
/model          which model answers
/usage          the tokens that were used
/stop           end what runs in this conversation, and what waits
Alt-Enter       a new line; Enter sends"""


async def converse(answerer: Answerer, data_dir: Path) -> None:
    """Read, ask, print, until the user ends."""
    prompt: PromptSession[str] = PromptSession(
        history=FileHistory(str(_history(data_dir))), key_bindings=_keys(), multiline=True
    )
    while True:
        try:
            text = (await prompt.prompt_async(HTML("<b>> </b>"))).strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text in {"/quit", "/q", "//quit", "//q"}:
            return
        if text:
            await _answer(answerer, text)


async def _answer(answerer: Answerer, text: str) -> None:
    """Do a command or ask; an error is printed and ends nothing."""
    try:
        match text.split():
            case ["/help"]:
                print(_HELP)
            case ["/new"]:
                answerer.session = None
                print(terminal.paint("A new conversation.", terminal.DIM))
            case ["/sessions"]:
                await _list(answerer)
            case ["/open", session]:
                await _reopen(answerer, session)
            case _:
                await answerer.ask(text)
    except OcgError as error:
        terminal.report(error)


async def _list(answerer: Answerer) -> None:
    for session in (await answerer.client.sessions()).sessions:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(session.updated_at))
        print(f"{session.id}  {when}  {session.title}")


async def _reopen(answerer: Answerer, session: str) -> None:
    transcript = await answerer.client.transcript(session)
    answerer.session = session
    for message in transcript.messages:
        if message.role == "user":
            print(f"{terminal.paint('> ' + message.content, terminal.BOLD)}")
        elif message.role == "assistant" and message.content:
            print(message.content)


def _history(data_dir: Path) -> Path:
    """Return the history's file, readable by its owner alone."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / "chat-history"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return path


def _keys() -> KeyBindings:
    """Enter sends, Alt-Enter begins a new line: the other way round than prompt_toolkit's multi-line default."""
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _newline(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
