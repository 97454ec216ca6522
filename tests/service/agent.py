"""A running agent for tests, and plain HTTP over its Unix socket."""

import contextlib
import http.client
import json
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processes import Process, running

MODULE = "ocg.agent"
Event = dict[str, Any]


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("ocg-agent", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))


class Stream:
    """A turn's events as they come."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.seen: list[Event] = []

    def __iter__(self) -> Iterator[Event]:
        while True:
            try:
                line = self._response.readline()
            except (http.client.HTTPException, OSError):
                return
            if not line:
                return
            if line.startswith(b"data: "):
                self.seen.append(json.loads(line[6:]))
                yield self.seen[-1]

    def until(self, kind: str) -> Event:
        """Read up to the next event of a kind and return it."""
        for event in self:
            if event["type"] == kind:
                return event
        raise AssertionError(f"no {kind} among {self.seen}")

    def rest(self) -> list[Event]:
        """Read to the end and return all events since the first."""
        for _ in self:
            pass
        return self.seen


@dataclass(frozen=True)
class Agent:
    """Where it is, and the process."""

    process: Process
    sock: Path

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request; `body` is bytes as they are, or what becomes JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        with contextlib.closing(_Connection(self.sock)) as connection:
            with contextlib.suppress(BrokenPipeError):  # the answer may come before all is sent
                connection.request(method, path, data)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    @contextlib.contextmanager
    def abandoned(self, method: str, path: str) -> Iterator[None]:
        """Ask for what takes a while; leaving the block hangs up, with no answer read."""
        with contextlib.closing(_Connection(self.sock)) as connection:
            connection.request(method, path)
            yield

    @contextlib.contextmanager
    def opened(self, message: str, **fields: Any) -> Iterator[Stream]:
        """Begin a turn and give its events as they come; leaving the block leaves the turn to itself."""
        with contextlib.closing(_Connection(self.sock)) as connection:
            connection.request("POST", "/v1/turns", json.dumps({"message": message} | fields).encode())
            with contextlib.closing(connection.getresponse()) as response:
                assert response.status == 200, response.read()
                yield Stream(response)

    def turn(self, message: str, **fields: Any) -> list[Event]:
        """Do a turn and return all its events."""
        with self.opened(message, **fields) as stream:
            return stream.rest()

    def say(self, message: str, **fields: Any) -> str:
        """Do a turn that must succeed and return the answer."""
        last = self.turn(message, **fields)[-1]
        assert last["type"] == "turn.completed", last
        return str(last["text"])

    def fail(self, message: str, **fields: Any) -> Event:
        """Do a turn that must fail and return how."""
        last = self.turn(message, **fields)[-1]
        assert last["type"] == "turn.failed", last
        return last

    def events(self, turn_id: str, *, after: int = 0) -> list[Event]:
        """Follow a turn from an event on and return all events."""
        with contextlib.closing(_Connection(self.sock)) as connection:
            connection.request("GET", f"/v1/turns/{turn_id}/events?after={after}")
            with contextlib.closing(connection.getresponse()) as response:
                assert response.status == 200, response.read()
                return Stream(response).rest()

    def transcript(self, session_id: str) -> list[tuple[str, str]]:
        """Return a session's messages as role and content."""
        status, found = self.ask("GET", f"/v1/sessions/{session_id}")
        assert status == 200, found
        return [(one["role"], one["content"]) for one in found["messages"]]

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process.stop(signal.SIGKILL) == -signal.SIGKILL


@contextlib.contextmanager
def agent(folder: Path, env: Mapping[str, str]) -> Iterator[Agent]:
    """Run the agent, for the first time or again."""
    (folder / f"{MODULE}.notify").unlink(missing_ok=True)
    with running(folder, MODULE, env) as process:
        yield Agent(process, Path(env["OCG_AGENT_SOCK"]))
