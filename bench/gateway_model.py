"""The fast model of bench/gateway.py: it answers OpenAI's chat completions at once, whole or as a stream of ten words.

A bare protocol over asyncio: what it takes, it takes from the gateways, which share its cores. Its port is the argument.
"""

import asyncio
import sys

_WORDS = 10
_PAUSE_S = 0.005
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: "
_WHOLE = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"fast","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hello, how can I help you today?"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":12,"completion_tokens":9,"total_tokens":21}}'
)
_ANSWER = _HEAD + b"application/json\r\ncontent-length: %d\r\n\r\n" % len(_WHOLE) + _WHOLE
_BEGIN = _HEAD + b"text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _event(data: bytes) -> bytes:
    return b"%x\r\ndata: %s\n\n\r\n" % (len(data) + 8, data)


def _chunk(delta: bytes, finish: bytes = b"null") -> bytes:
    return _event(
        b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"fast","choices":'
        b'[{"index":0,"delta":%s,"finish_reason":%s}]}' % (delta, finish)
    )


_WORD = _chunk(b'{"role":"assistant","content":"word "}')
_END = _chunk(b"{}", b'"stop"') + _event(b"[DONE]") + b"0\r\n\r\n"


class _Connection(asyncio.Protocol):
    """Answers one request after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, is_whole, body = self._data.partition(b"\r\n\r\n")
        if not is_whole or len(body) < int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]):
            return
        self._data = b""
        if b'"stream":true' in body:
            self._transport.write(_BEGIN + _WORD)
            self._later(_WORDS - 1)
        else:
            self._transport.write(_ANSWER)

    def _later(self, left: int) -> None:
        asyncio.get_running_loop().call_later(_PAUSE_S, self._go_on, left)

    def _go_on(self, left: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(_WORD if left else _END)
        if left:
            self._later(left - 1)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
