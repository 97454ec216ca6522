"""`ocg-tool WORKSPACE`: does what it is asked on its standard input, a socket, and ends."""

import os
import socket
import sys

from ocg.tool.connection import Connection


def main() -> None:
    """Answer one request."""
    connection = Connection(socket.socket(fileno=os.dup(0)))
    # What we start must not speak in our name.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    os.umask(0o007)  # the agent's group shares what is written
    os.chdir(sys.argv[1])
    request = connection.request()
    if b'"op":"run"' in request[:64]:
        from ocg.tool import run  # noqa: PLC0415 - the rest takes ten times as long to import, and is not needed

        run.run(connection, request)
    else:
        from ocg.tool import operations  # noqa: PLC0415 - as above

        operations.answer(connection, request)


if __name__ == "__main__":
    main()
