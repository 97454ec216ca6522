"""A crowd at the gateway: idle WebSockets are cheap, streams run side by side, and no address keeps all others out."""

import contextlib
import socket
import ssl
import time
from pathlib import Path

from bench import gateway_sockets as bench
from tests import certificates
from tests.service.gateway import Gateway, environment, serving

_EACH = 3072  # three quarters of 4096


async def test_two_thousand_idle_sockets_take_less_than_100_mb() -> None:
    with bench.gateway() as gateway:
        found = await bench.idle(gateway, 2000)
        assert found.more_mb < 100


async def test_a_thousand_streams_run_at_once_and_none_is_dropped() -> None:
    with bench.gateway() as gateway:
        found = await bench.streams(gateway, 1000)
        assert found.whole == 1000


def test_who_fills_the_house_without_a_token_leaves_room_for_the_owner() -> None:
    with bench.gateway() as gateway, contextlib.ExitStack() as crowd:
        with gateway.socket() as chat:
            for number in range(_EACH + 200):
                one = crowd.enter_context(_connected(gateway, f"127.0.0.{number % 3 + 1}"))
                one.sendall(b"POST /v1/turns HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nx")
            assert gateway.ask("GET", "/v1/sessions").status == 200
            chat.send('{"type": "turn", "message": "hello"}')
            assert "turn.started" in str(chat.recv(timeout=10))
        crowd.close()
        assert _is_let_in(gateway)


def test_a_tls_connection_that_has_said_nothing_yet_costs_little(tmp_path: Path, free_port: int) -> None:
    made = certificates.make(tmp_path)
    context = ssl.create_default_context(cafile=str(made.certificate))
    env = environment(tmp_path, free_port, **made.env)
    with serving(tmp_path, env) as gateway, contextlib.ExitStack() as crowd:
        for number in range(220):
            if number == 20:
                before = bench.pss_mb(gateway.process.popen.pid)
            raw = crowd.enter_context(_connected(gateway, "127.0.0.1"))
            crowd.enter_context(context.wrap_socket(raw, server_hostname="nas.lan"))
        assert (bench.pss_mb(gateway.process.popen.pid) - before) * 1024 / 200 < 128


def _connected(gateway: Gateway, address: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port), timeout=10, source_address=(address, 0))


def _is_let_in(gateway: Gateway) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if gateway.ask("GET", "/nothing").status == 404:
            return True
        time.sleep(0.05)
    return False
