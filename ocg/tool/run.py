"""Running a program and passing on what it writes. Only what takes no time to import is used."""

import json
import os
import select
import signal
import subprocess
import time

from ocg.protocol import frames
from ocg.tool.connection import Connection

_PIECE = 1 << 16


def run(connection: Connection, data: bytes) -> None:
    """Do what ocg.protocol.tooling.Run says."""
    asked = json.loads(data)
    process = subprocess.Popen(
        asked["argv"],
        cwd=asked["folder"],
        env=os.environ | asked["env"],
        stdin=subprocess.PIPE if asked["is_interactive"] else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if asked["parts_errors"] else subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    kinds = {process.stdout.fileno(): frames.OUTPUT}
    if process.stderr is not None:
        kinds[process.stderr.fileno()] = frames.ERRORS
    deadline = time.monotonic() + asked["timeout_s"] if asked["timeout_s"] else None
    why = ""
    while True:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            why = "timeout"
            os.killpg(process.pid, signal.SIGKILL)
            break
        ready, _, _ = select.select([*kinds, connection.sock.fileno()], [], [], left)
        for descriptor in [one for one in kinds if one in ready]:
            if piece := os.read(descriptor, _PIECE):
                connection.send(kinds[descriptor], piece)
            else:
                del kinds[descriptor]
        if not kinds:
            break
        if connection.sock.fileno() in ready:
            kind, piece = connection.receive()
            if process.stdin is not None and kind == frames.INPUT:
                process.stdin.write(piece)
                process.stdin.flush()
            elif process.stdin is not None and kind == frames.INPUT_END:
                process.stdin.close()
    status = process.wait()
    ended = {"status": status if status >= 0 else None, "signal": -status if status < 0 else None, "why": why}
    connection.send(frames.RESULT, json.dumps(ended).encode())
