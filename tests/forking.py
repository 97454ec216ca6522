"""A process that is killed again and again, for tests of what survives: both sides of it.

It imports all once and forks a child for each line on its standard input (a seed), so that a start takes 20 ms. What a
child does it says before and after on standard output, a line of JSON each.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent.parent


def say(**what: Any) -> None:
    """Say something to the test."""
    os.write(1, json.dumps(what).encode() + b"\n")


def fork_for_each_line(live: Callable[[Path, int], Coroutine[Any, Any, None]]) -> None:
    """Fork a child for each line, have it live with the argument's path and the seed, and say when it has ended."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                say(pid=os.getpid())
                asyncio.run(live(Path(sys.argv[1]), int(line)))
            except BaseException as error:  # noqa: BLE001 - the test must hear of it
                say(failed=repr(error))
            finally:
                os._exit(1)
        os.waitpid(child, 0)
        say(gone=True)


class Host:
    """The process, as the test sees it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._pid = 0

    def born(self, seed: int) -> Iterator[dict[str, Any]]:
        """Have a child live, and give what it says, to its end. Fails with what it failed with."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % seed)
        self._process.stdin.flush()
        self._pid = int(self._said()["pid"])
        while "gone" not in (said := self._said()):
            yield said

    def kill(self) -> None:
        """Kill the child that lives."""
        os.kill(self._pid, signal.SIGKILL)

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the host has gone"
        said: dict[str, Any] = json.loads(line)
        assert "failed" not in said, said
        return said


@contextmanager
def host(module: str, path: Path) -> Iterator[Host]:
    """Run a module that forks for each line."""
    command = [sys.executable, "-m", module, str(path)]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        yield Host(process)
        process.stdin.close()
        assert process.wait(10) == 0
