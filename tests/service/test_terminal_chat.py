"""`ocg chat` in a real terminal: a pseudo-terminal that types and reads."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.browser.scripted import LONG, Model
from tests.processes import running
from tests.provider import Exchange, calls, provider, says, waits
from tests.service.agent import agent

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(self, command: list[str], env: dict[str, str], folder: Path) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            env=env | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._seen = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def expect(self, text: str, timeout_s: float = 20) -> str:
        """Read until the text appears; return what came before, and forget both."""
        deadline = time.monotonic() + timeout_s
        while text not in self._seen:
            left = deadline - time.monotonic()
            assert left > 0, f"no {text!r} in {self._seen!r}"
            if select.select([self._master], [], [], left)[0]:
                self._seen += self._read()
        before, _, self._seen = self._seen.partition(text)
        return before

    @property
    def is_asking(self) -> bool:
        """Whether the program takes each key as it is typed, as a prompt does."""
        return not termios.tcgetattr(self._master)[3] & termios.ICANON

    def _read(self) -> str:
        try:
            return _ESCAPES.sub("", os.read(self._master, 65536).decode("utf-8", "replace"))
        except OSError:
            raise AssertionError(f"it ended, having said {self._seen!r}") from None

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(tmp_path: Path, env: dict[str, str]) -> Iterator[Terminal]:
    with (
        provider(Model()) as server,
        running(tmp_path, "ocg.agent", env | server.env),
    ):
        found = Terminal([sys.executable, "-m", "ocg.cli", "chat"], env, tmp_path)
        yield found
        found.close()


def test_a_conversation_with_history_commands_and_an_end(terminal: Terminal, tmp_path: Path) -> None:
    terminal.expect("/help shows the commands")
    terminal.expect(">")
    terminal.type("hello there\r")
    terminal.expect("Unix socket lets two programs")
    terminal.type("/sessions\r")
    terminal.expect("hello there")
    terminal.type("/nonsense\r")
    terminal.expect("There is no command /nonsense")
    terminal.expect(">")
    terminal.type("\x04")
    assert terminal.process.wait(10) == 0
    history = tmp_path / "data" / "chat-history"
    assert "+hello there" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600


def test_several_lines_are_one_message(terminal: Terminal) -> None:
    terminal.expect(">")
    terminal.type("first line\x1b\rsecond line\r")
    terminal.expect("Unix socket lets two programs")
    terminal.type("/sessions\r")
    listing = terminal.expect("first line")
    assert "second line" not in listing


def test_ctrl_c_stops_the_answer_and_not_the_program(terminal: Terminal) -> None:
    terminal.expect(">")
    terminal.type("long please\r")
    terminal.expect("word3")
    os.killpg(terminal.process.pid, signal.SIGINT)
    said = terminal.expect("(stopped)")
    assert LONG.split()[-1] not in said
    terminal.type("hello again\r")
    terminal.expect("Unix socket lets two programs")
    assert terminal.process.poll() is None


def test_an_answer_that_is_cut_off_is_known_for_one(tmp_path: Path, env: dict[str, str]) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.begin()
        exchange.delta(content="Once upon a")
        exchange.end("length")

    with provider(cut) as server, running(tmp_path, "ocg.agent", env | server.env):
        terminal = Terminal([sys.executable, "-m", "ocg.cli", "chat"], env, tmp_path)
        try:
            terminal.expect(">")
            terminal.type("a story\r")
            terminal.expect("Once upon a")
            terminal.expect("(the answer is cut off: it may be no longer)")
        finally:
            terminal.close()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("y\r", "UTC"),
        (" Session\r", "UTC"),
        ("stop\ryesterday\rno\r", "the user said no"),
        ("\x03", "(stopped)"),
    ],
)
def test_a_call_that_waits_is_asked_about_where_it_is_waited_for(
    tmp_path: Path, env: dict[str, str], typed: str, said: str
) -> None:
    (tmp_path / "data/policy.toml").write_text('[[rule]]\ntool = "time"\ndecision = "ask"\n')
    with provider(calls("time", "{}"), says("all done")) as server, running(tmp_path, "ocg.agent", env | server.env):
        terminal = Terminal([sys.executable, "-m", "ocg.cli", "chat"], env, tmp_path)
        try:
            terminal.expect(">")
            terminal.type("what time is it?\r")
            terminal.expect("Allow it?")
            terminal.type(typed)
            terminal.expect(said)
            if said != "(stopped)":
                terminal.expect("all done")
            server.play(says("and here I am"))
            terminal.expect(">")
            terminal.type("hello?\r")
            terminal.expect("and here I am")
        finally:
            terminal.close()


def test_what_was_typed_before_the_question_is_no_answer_to_it(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "data/policy.toml").write_text('[[rule]]\ntool = "time"\ndecision = "ask"\n')
    thinks, gate = threading.Event(), threading.Event()

    def thinking(exchange: Exchange) -> None:
        thinks.set()
        waits(gate, calls("time", "{}"))(exchange)

    with provider(thinking, says("all done")) as server, running(tmp_path, "ocg.agent", env | server.env):
        terminal = Terminal([sys.executable, "-m", "ocg.cli", "chat"], env, tmp_path)
        try:
            terminal.expect(">")
            terminal.type("what time is it?\r")
            assert thinks.wait(20)
            terminal.type("yes\r")
            terminal.expect("yes")
            gate.set()
            terminal.expect("Allow it?")
            terminal.type("no\r")
            terminal.expect("the user said no")
        finally:
            terminal.close()


def test_an_answer_that_does_not_get_through_is_told_and_asked_for_again(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "data/policy.toml").write_text('[[rule]]\ntool = "time"\ndecision = "ask"\n')
    with provider(calls("time", "{}"), says("all done")) as server, ExitStack() as stack:
        first = stack.enter_context(agent(tmp_path, env | server.env))
        terminal = Terminal([sys.executable, "-m", "ocg.cli", "chat"], env, tmp_path)
        try:
            terminal.expect(">")
            terminal.type("what time is it?\r")
            terminal.expect("Allow it?")
            first.kill()
            terminal.type("y\r")
            terminal.expect("ocg: ")
            terminal.expect("Allow it?")
            with agent(tmp_path, env | server.env):
                terminal.expect("waits to be allowed")
                terminal.expect("Allow it?")
                terminal.type("y\r")
                terminal.expect("all done")
        finally:
            terminal.close()


def test_a_question_in_the_terminal_goes_away_when_somebody_else_answers(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "data/policy.toml").write_text('[[rule]]\ntool = "time"\ndecision = "ask"\n')
    gate = threading.Event()
    scripts = calls("time", "{}"), waits(gate, says("all done"))
    with provider(*scripts) as server, agent(tmp_path, env | server.env) as found:
        terminal = Terminal([sys.executable, "-m", "ocg.cli", "chat"], env, tmp_path)
        try:
            terminal.expect(">")
            terminal.type("what time is it?\r")
            terminal.expect("Allow it?")
            assert terminal.is_asking
            (waiting,) = found.ask("GET", "/v1/approvals")[1]["approvals"]
            found.ask("POST", f"/v1/approvals/{waiting['id']}", {"answer": "deny", "by": "the page"})
            terminal.expect("deny, by the page")
            assert not terminal.is_asking
            gate.set()
            terminal.expect("all done")
            terminal.expect(">")
        finally:
            terminal.close()


def test_where_nobody_can_be_asked_the_way_to_answer_is_named(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "data/policy.toml").write_text('[[rule]]\ntool = "time"\ndecision = "ask"\n')
    limit = {"OCG_APPROVAL_TIMEOUT": "1"}
    with (
        provider(calls("time", "{}"), says("all done")) as server,
        running(tmp_path, "ocg.agent", env | server.env | limit),
    ):
        command = [sys.executable, "-m", "ocg.cli", "chat", "time?"]
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert done.stdout == "all done\n"
    assert re.search("ocg approval allow [0-9a-f]{12}\n", done.stderr)
    assert "deny, by timeout" in done.stderr
