"""Debian's watch file finds the newest release where releases lie, and not a candidate of an older one."""

import shutil
import subprocess
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ocg import __version__

WATCH = Path(__file__).parents[2] / "packaging/deb/watch"
HOME = "https://ocg.invalid/releases/"


class Releases(SimpleHTTPRequestHandler):
    """A folder of files, over HTTP, without a word on standard error."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def releases(tmp_path: Path) -> Iterator[str]:
    """The address of a folder with releases in it."""
    folder = tmp_path / "releases"
    folder.mkdir()
    for name in (f"ocg-{__version__}.tar.gz", "ocg-77.1.0.tar.gz", "ocg-77.2.0rc1.tar.gz", "ocg-99-py3-none-any.whl"):
        (folder / name).touch()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Releases, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def newest(folder: Path, address: str) -> str:
    """What uscan finds for a source tree of ours."""
    debian = folder / "ocg/debian"
    debian.mkdir(parents=True)
    shutil.copy(WATCH.with_name("control"), debian)
    (debian / "watch").write_text(WATCH.read_text().replace(HOME, address))
    (debian / "changelog").write_text(
        f"ocg ({__version__}-1) unstable; urgency=medium\n\n  * One.\n\n"
        " -- The OCG developers <developers@ocg.invalid>  Tue, 24 Nov 2026 00:00:00 +0000\n"
    )
    command = ["uscan", "--no-conf", "--report", "--dehs"]
    done = subprocess.run(command, cwd=debian.parent, capture_output=True, text=True, check=False)
    found = ET.fromstring(done.stdout).findtext("upstream-version")
    assert found, done.stdout + done.stderr
    return found


def test_the_newest_release_is_found(releases: str, tmp_path: Path) -> None:
    assert newest(tmp_path, releases) == "77.2.0~rc1"


def test_a_candidate_is_older_than_its_release(releases: str, tmp_path: Path) -> None:
    (tmp_path / "releases/ocg-77.2.0.tar.gz").touch()
    assert newest(tmp_path, releases) == "77.2.0"
