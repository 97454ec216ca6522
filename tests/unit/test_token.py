"""The token that OCG makes: once, for good, readable by its group, and believed only where nobody else can write it."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ocg import config
from ocg.config import token
from ocg.errors import Code, OcgError

_STRANGER = 12345


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def _written(data: Path, text: str = "of-the-file\n", *, mode: int = 0o640) -> Path:
    data.mkdir(exist_ok=True)
    file = data / "token"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_it_is_made_once_whatever_the_umask_and_nothing_else_is_left(data: Path) -> None:
    old = os.umask(0o077)
    try:
        made = token.ensure(data)
    finally:
        os.umask(old)
    assert len(made) >= 32
    assert (data / "token").read_text() == f"{made}\n"
    assert stat.S_IMODE((data / "token").stat().st_mode) == 0o640
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert list(data.iterdir()) == [data / "token"]
    assert token.ensure(data) == token.read(data) == made


def test_two_at_once_make_one(data: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: token.ensure(data), range(16)))) == 1


def test_what_a_crash_left_is_overwritten_and_an_empty_file_is_no_token(data: Path) -> None:
    _written(data, "")
    (data / ".token.new").write_text("half")
    assert len(token.ensure(data)) >= 32
    assert list(data.iterdir()) == [data / "token"]


def test_a_link_is_not_followed(data: Path) -> None:
    _written(data).rename(data / "elsewhere")
    (data / "token").symlink_to("elsewhere")
    assert token.read(data) == ""
    with pytest.raises(OcgError, match="token"):
        token.ensure(data)
    assert (data / "elsewhere").read_text() == "of-the-file\n"


@pytest.mark.parametrize("mode", [0o660, 0o606])
def test_what_others_may_write_is_not_believed(data: Path, mode: int) -> None:
    _written(data, mode=mode)
    assert token.read(data) == ""
    with pytest.raises(OcgError, match="may be somebody else's") as caught:
        token.ensure(data)
    assert caught.value.code is Code.UNSAFE_PATH


def test_a_pipe_in_its_place_is_not_waited_for(data: Path) -> None:
    data.mkdir()
    os.mkfifo(data / "token", 0o600)
    with pytest.raises(OcgError, match="may be somebody else's"):
        token.ensure(data)


def test_bytes_that_are_no_token_are_an_error_that_does_not_show_them(data: Path) -> None:
    _written(data).write_bytes(b"\xffsecret")
    with pytest.raises(OcgError, match="is no token") as caught:
        token.ensure(data)
    assert "secret" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_another_users_is_believed_only_where_root_gave_that_user_the_folder(data: Path) -> None:
    file = _written(data)
    os.chown(file, _STRANGER, _STRANGER)
    assert token.read(data) == ""
    os.chown(data, _STRANGER, _STRANGER)
    assert token.read(data) == "of-the-file"
    data.parent.chmod(0o777)  # now anybody can have made the folder
    assert token.read(data) == ""
    with pytest.raises(OcgError, match=f"owner: user {_STRANGER}"):
        token.ensure(data)


def test_one_that_cannot_be_saved_is_an_error_that_a_restart_does_not_mend() -> None:
    with pytest.raises(OcgError, match="neither read nor saved") as caught:
        token.ensure(Path("/proc"))  # where not even root makes files
    assert caught.value.code.exit_status == 78


def test_it_counts_where_nothing_else_gives_one_and_is_never_missed(data: Path) -> None:
    environ = {"OCG_DATA_DIR": str(data), "CONFIGURATION_DIRECTORY": "/none"}
    assert config.gather(config.Common, {}, environ).ui_token == ""
    _written(data)
    sources = config.Sources.find({}, environ)
    assert sources.load(config.Common).ui_token == "of-the-file"
    (data / "token").write_text("a-new-one\n")
    assert sources.load(config.Common).ui_token == "a-new-one", "a reload reads it again"
    assert config.gather(config.Common, {}, environ | {"OCG_UI_TOKEN": "of-the-environment"}).ui_token == (
        "of-the-environment"
    )
