"""What all tests share: an environment of their own, real models, and a watch over what they leave behind."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocg.models import store

# Those are run by a Python of their own.
collect_ignore = ["clients"]
MODELS = Path(os.environ.get("OCG_DATA_DIR", "~/.ocg")).expanduser() / "models"


def pytest_configure() -> None:
    """Have SIGINT mean something to us and to what we start: a shell ignores it for what it runs in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the browser's tests last: Playwright's event loop runs in this thread from then on, and no other can."""
    items.sort(key=lambda item: "browser" in item.path.parts)


# Those of an executor, and those that wait for a child and end right behind it.
_ASYNCIOS = ("asyncio_", "asyncio-waitpid-")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread, a child process or a descriptor behind."""
    threads, descriptors = set(threading.enumerate()), _descriptors()
    children = _children()
    yield
    new = set(threading.enumerate()) - threads
    left = [one.name for one in new if not one.name.startswith(_ASYNCIOS)]
    assert not left, f"threads left behind: {left}"
    assert not _children() - children, "child processes left behind"
    more = {key: value for key, value in _descriptors().items() if key not in descriptors}
    assert not more, f"descriptors left behind: {more}"


@pytest.fixture(autouse=True)
def no_packaged_models(tmp_path: Path) -> Iterator[None]:
    """Have tests see no model that a package brought to this machine."""
    # A context of our own: with the fixture `monkeypatch` every test's patches would outlive the watch above.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "SHARED", tmp_path / "shared-models")
        yield


def _descriptors() -> dict[str, str]:
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith(("socket:", "/tmp/pytest")):
            found[entry.name] = target
    return found


def _children() -> set[str]:
    return set(Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split())


@pytest.fixture
def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def env(tmp_path: Path, free_port: int) -> dict[str, str]:
    """An environment in which nothing of OCG lies outside the test's own folder; models are the real ones."""
    data = tmp_path / "data"
    data.mkdir()
    if MODELS.exists():
        (data / "models").symlink_to(MODELS)
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    return kept | {
        "OCG_DATA_DIR": str(data),
        "OCG_PID_DIR": str(tmp_path / "pids"),
        "OCG_LOG_DIR": str(tmp_path),
        "OCG_AGENT_SOCK": str(tmp_path / "agent.sock"),
        "OCG_PORT": str(free_port),
        "OCG_UI_TOKEN": "a-token-for-tests",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }
