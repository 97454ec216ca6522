"""Listening sockets: inherited ones are taken over, stale ones replaced, foreign and living ones left alone."""

import os
import socket
import stat
from pathlib import Path

import pytest

from ocg.errors import Code, OcgError
from ocg.lifecycle import sockets


def test_a_unix_socket_is_for_its_owner_alone(tmp_path: Path) -> None:
    with sockets.listen_unix(tmp_path / "s"):
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600


def test_a_unix_socket_may_be_for_a_group_too_and_lies_in_a_folder_that_is_made(tmp_path: Path) -> None:
    with sockets.listen_unix(tmp_path / "deep" / "s", mode=0o660, key="OCG_HOST"):
        assert stat.S_IMODE((tmp_path / "deep" / "s").stat().st_mode) == 0o660
        assert stat.S_IMODE((tmp_path / "deep").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["file/s", "x" * 200])
def test_where_no_socket_can_be_the_setting_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OcgError, match="cannot listen on") as caught:
        sockets.listen_unix(tmp_path / name, key="OCG_HOST")
    assert caught.value.code is Code.UNSAFE_PATH
    assert "OCG_HOST" in caught.value.hint


def test_a_stale_socket_of_ours_is_replaced(tmp_path: Path) -> None:
    sockets.listen_unix(tmp_path / "s").close()
    assert (tmp_path / "s").is_socket()
    with sockets.listen_unix(tmp_path / "s"):
        assert sockets.answers(tmp_path / "s")


def test_a_socket_that_somebody_answers_on_is_left_alone(tmp_path: Path) -> None:
    with sockets.listen_unix(tmp_path / "s"):
        with pytest.raises(OcgError) as caught:
            sockets.listen_unix(tmp_path / "s")
        assert sockets.answers(tmp_path / "s")
    assert caught.value.code is Code.ALREADY_RUNNING


@pytest.mark.parametrize("kind", ["file", "link", "foreign"])
def test_what_is_not_a_socket_of_ours_is_refused_and_kept(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s"
    if kind == "file":
        path.write_text("precious")
    elif kind == "link":
        (tmp_path / "target").write_text("precious")
        path.symlink_to(tmp_path / "target")
    else:
        sockets.listen_unix(path).close()
        os.chown(path, 12345, 12345)
    with pytest.raises(OcgError, match="in the way") as caught:
        sockets.listen_unix(path)
    assert caught.value.code is Code.UNSAFE_PATH
    assert path.lstat()


def test_removing_spares_a_socket_that_another_has_put_there(tmp_path: Path) -> None:
    sockets.listen_unix(tmp_path / "s").close()
    with socket.socket(socket.AF_UNIX) as other:
        (tmp_path / "s").unlink()
        other.bind(str(tmp_path / "s"))
        other.listen()
        sockets.remove_unix(tmp_path / "s")
        assert (tmp_path / "s").is_socket()
    sockets.remove_unix(tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_the_first_free_port_is_taken(free_port: int) -> None:
    with sockets.listen_tcp("127.0.0.1", [free_port], key="K") as first:
        assert first.getsockname()[1] == free_port
        with sockets.listen_tcp("127.0.0.1", [free_port, 0], key="K") as second:
            assert second.getsockname()[1] != free_port


def test_a_port_in_use_is_named_with_the_setting_that_changes_it(free_port: int) -> None:
    with (
        sockets.listen_tcp("127.0.0.1", [free_port], key="K"),
        pytest.raises(OcgError, match=f"port {free_port}") as caught,
    ):
        sockets.listen_tcp("127.0.0.1", [free_port], key="OCG_PORT")
    assert caught.value.code is Code.PORT_IN_USE
    assert "OCG_PORT" in caught.value.hint


def test_sockets_meant_for_another_process_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert sockets.inherited() == []
