"""A PID file is believed only as far as the kernel confirms it."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from ocg.errors import Code, OcgError
from ocg.lifecycle.pidfile import PidFile, holder, open_dir
from ocg.managers.process import Process


def _hold(folder: Path, pipe: Connection) -> None:
    PidFile(folder, "ocg-agent").acquire()
    pipe.send("held")
    signal.pause()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[int]:
    """The PID of a process that holds ocg-agent.pid in tmp_path."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(tmp_path, theirs))
    process.start()
    ours.recv()
    assert process.pid is not None
    yield process.pid
    process.kill()
    process.join()
    process.close()
    ours.close()
    theirs.close()


def test_the_file_holds_the_pid_and_a_newline_and_nothing_else(tmp_path: Path, service: int) -> None:
    assert (tmp_path / "ocg-agent.pid").read_text() == f"{service}\n"
    assert holder(tmp_path, "ocg-agent") == service


def test_a_second_service_is_refused_and_the_first_unharmed(tmp_path: Path, service: int) -> None:
    with pytest.raises(OcgError, match=f"PID {service}") as caught:
        PidFile(tmp_path, "ocg-agent").acquire()
    assert caught.value.code is Code.ALREADY_RUNNING
    assert holder(tmp_path, "ocg-agent") == service


def test_a_number_without_a_holder_is_stale_whoever_has_it_now(tmp_path: Path) -> None:
    (tmp_path / "ocg-agent.pid").write_text(f"{os.getpid()}\n")
    assert holder(tmp_path, "ocg-agent") is None
    assert Process.find(tmp_path, "ocg-agent") is None


def test_the_kernels_word_wins_over_a_number_that_was_tampered_with(tmp_path: Path, service: int) -> None:
    (tmp_path / "ocg-agent.pid").write_text("1\n")
    assert holder(tmp_path, "ocg-agent") == service


def test_the_holder_is_gone_with_the_process_however_it_died(tmp_path: Path, service: int) -> None:
    process = Process.find(tmp_path, "ocg-agent")
    assert process is not None
    os.kill(service, signal.SIGKILL)
    assert process.ended(5.0)
    process.close()
    assert holder(tmp_path, "ocg-agent") is None


def test_a_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("keep")
    (tmp_path / "ocg-agent.pid").symlink_to(target)
    with pytest.raises(OcgError, match="symbolic"):
        PidFile(tmp_path, "ocg-agent").acquire()
    assert target.read_text() == "keep"


def test_a_folder_of_another_user_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    with pytest.raises(OcgError, match="user 12345") as caught:
        open_dir(folder)
    assert caught.value.code is Code.UNSAFE_PATH
    assert "--pid-dir" in caught.value.hint


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(OcgError, match="not a folder of ours"):
        open_dir(folder)


def test_a_link_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OcgError, match="is a link to"):
        open_dir(tmp_path / "link")
