"""What a tool sends is what the agent gets, however long it is."""

import asyncio
import socket
from _socket import socket as plain_socket

import pytest

from ocg.agent.confinement import Confined
from ocg.protocol import frames
from ocg.tool.connection import Connection


@pytest.mark.parametrize("size", [0, 1, frames.MAX_BYTES - 1, frames.MAX_BYTES, frames.MAX_BYTES + 1])
async def test_a_result_comes_whole(size: int) -> None:
    ours, its = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    connection = Connection(plain_socket(fileno=its.detach()))

    def send() -> None:
        connection.send(frames.RESULT, b"x" * size)
        connection.sock.close()

    sending = asyncio.create_task(asyncio.to_thread(send))
    found = [data async for _, data in Confined(reader, writer).frames()]
    await sending
    writer.close()
    await writer.wait_closed()
    assert b"".join(found) == b"x" * size
