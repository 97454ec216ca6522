"""`ocg-tool WORKSPACE`: does what it is asked on its standard input, a socket, and ends."""

import os
import sys

# socket's own imports take half as long as all of this.
from _socket import socket

from ocg.tool import limits
from ocg.tool.connection import Connection


def main() -> None:
    """Answer one request. Whoever is the first process of its cage guards it, and leaves that to a child."""
    os.chdir(sys.argv[1])
    limits.take()
    limits.be_out_of_reach()
    if os.getpid() == 1:
        from ocg.tool import guard  # noqa: PLC0415 - systemd does that by itself

        limits.count_tasks()
        if child := os.fork():
            guard.watch(child, connection=0)
            return
        os.nice(1)  # of two that are ready the kernel lets the guard go first, however many bombs there are
    _answer(Connection(socket(fileno=os.dup(0))))


def _answer(connection: Connection) -> None:
    # What we start must not speak in our name.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    request = connection.request()
    if b'"op":"run"' in request[:64]:
        from ocg.tool import run  # noqa: PLC0415 - the rest takes ten times as long to import, and is not needed

        run.run(connection, request)
    else:
        from ocg.tool import operations  # noqa: PLC0415 - as above

        operations.answer(connection, request)


if __name__ == "__main__":
    main()
