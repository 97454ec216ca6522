"""Root brings models for another user's services without following a link of that user's."""

import os
from pathlib import Path

import pytest

from ocg.errors import Code, OcgError
from ocg.models.handover import workplace

_SOMEBODY = 12345
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it is about what root does")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of models within a folder that is somebody else's."""
    folder = tmp_path / "ocg" / "models"
    folder.mkdir(parents=True)
    for one in (folder, folder.parent):
        os.chown(one, _SOMEBODY, _SOMEBODY)
    return folder


def test_root_works_elsewhere_and_hands_over_what_is_done(models: Path) -> None:
    with workplace(models) as place:
        assert place.parent == models.parent.parent, "in a folder that is root's"
        assert place.stat().st_mode & 0o777 == 0o700
        (place / "new.gguf").write_bytes(b"model")
        (place / ".big.part").write_bytes(b"half")
    status = (models / "new.gguf").stat()
    assert (models / "new.gguf").read_bytes() == b"model"
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (_SOMEBODY, _SOMEBODY, 0o600)
    assert [path.name for path in place.iterdir()] == [".big.part"], "a download that was cut off goes on from there"


def _bring_one_and_fail(models: Path) -> None:
    with workplace(models) as place:
        (place / "new.gguf").write_bytes(b"model")
        raise OcgError(Code.DOWNLOAD_FAILED, "the next one cannot be had")


def test_what_is_done_is_handed_over_though_the_next_fails_and_no_empty_folder_stays(models: Path) -> None:
    with pytest.raises(OcgError, match="the next one"):
        _bring_one_and_fail(models)
    assert (models / "new.gguf").read_bytes() == b"model"
    assert [path.name for path in models.parent.parent.iterdir()] == ["ocg"]


def test_a_link_in_the_folders_place_is_not_followed(models: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    models.rmdir()
    models.symlink_to(elsewhere)
    with pytest.raises(OcgError) as caught, workplace(models) as place:
        (place / "new.gguf").write_bytes(b"model")
    assert caught.value.code is Code.UNSAFE_PATH
    assert list(elsewhere.iterdir()) == []


def test_a_link_in_the_files_place_is_replaced_not_written_through(models: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    (models / "new.gguf").symlink_to(precious)
    with workplace(models) as place:
        (place / "new.gguf").write_bytes(b"model")
    assert precious.read_bytes() == b"precious"
    assert not (models / "new.gguf").is_symlink()


def test_ones_own_folder_is_worked_in_directly(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with workplace(tmp_path / "models") as place:
        assert place == tmp_path / "models"
