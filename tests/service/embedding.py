"""What tests of ocg-embedding share: a service of their own, how to ask it, and clients that go away."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ocg.protocol import address
from tests.asking import ask
from tests.conftest import MODELS
from tests.processes import Process, running

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODULE = "ocg.embedding"


@dataclass(frozen=True)
class Service:
    """A running service and how to reach it."""

    process: Process
    where: address.Address
    data: Path

    def ask(self, path: str, body: Any = None, *, timeout_s: float = 60) -> tuple[int, Any]:
        return ask(self.where.url + path, body, token=self.where.token, timeout_s=timeout_s)

    def embed(self, *texts: str, **more: Any) -> "NDArray[np.float32]":
        """The texts' vectors, one a row."""
        status, found = self.ask("/v1/embeddings", {"input": texts} | more)
        assert status == 200, found
        assert [item["index"] for item in found["data"]] == list(range(len(texts)))
        return np.array([item["embedding"] for item in found["data"]], np.float32)

    def chat(self, text: str, **more: Any) -> tuple[int, Any]:
        asked = {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 60} | more
        return self.ask("/v1/chat/completions", asked)

    @contextlib.contextmanager
    def waiting(self, path: str, body: Any) -> Iterator[socket.socket]:
        """A client that has sent a request and goes away at the block's end, whether it was answered or not."""
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.where.token}\r\n"
        with socket.create_connection(("127.0.0.1", int(self.where.url.rsplit(":", 1)[1]))) as connection:
            connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            yield connection


def environment(folder: Path) -> dict[str, str]:
    """An environment with nothing outside the folder but the real models."""
    (folder / "data").mkdir()
    (folder / "data" / "models").symlink_to(MODELS)
    return {
        "PATH": os.environ["PATH"],
        "OCG_DATA_DIR": str(folder / "data"),
        "OCG_PID_DIR": str(folder / "pids"),
        "OCG_UI_TOKEN": "ui-token",
        "PYTHONPATH": str(Path(__file__).parent.parent.parent),
    }


@contextlib.contextmanager
def serving(folder: Path, env: Mapping[str, str]) -> Iterator[Service]:
    """A service, ready."""
    with running(folder, MODULE, env) as process:
        yield Service(process, address.find(Path(env["OCG_PID_DIR"])), Path(env["OCG_DATA_DIR"]))
