"""The folder of models: names and paths become checked files, or an error that says what to do."""

from pathlib import Path

import pytest

from ocg.errors import Code, OcgError
from ocg.models import catalog, store
from ocg.models.catalog import Model, Url
from ocg.models.store import State
from tests.unit.models.samples import model, write_gguf


def _quiet(what: str, done_bytes: int, total_bytes: int, /) -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A GGUF file of the user's."""
    return write_gguf(tmp_path / "mine.gguf")


@pytest.fixture
def tiny(own: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A catalog of one model, which the user's own file is."""
    only = model(own, Url(url="https://example.org/tiny.gguf"))
    monkeypatch.setattr(catalog, "load", lambda: (only,))
    return only


@pytest.fixture
def shared() -> Path:
    """The folder that packages fill, which conftest.py has moved."""
    store.SHARED.mkdir()
    return store.SHARED


def test_a_model_that_is_not_here_is_missing_and_the_hint_brings_it(folder: Path) -> None:
    with pytest.raises(OcgError) as caught:
        store.resolve(folder, "minilm")
    assert caught.value.code is Code.MODEL_MISSING
    assert caught.value.hint == "ocg models pull minilm"


def test_an_unknown_name_is_unknown(folder: Path) -> None:
    for ask in (store.resolve, lambda folder, name: store.pull(folder, name, _quiet)):
        with pytest.raises(OcgError) as caught:
            ask(folder, "smolm2")
        assert caught.value.code is Code.MODEL_UNKNOWN
        assert "smollm2-135m" in caught.value.hint


def test_a_users_own_file_gets_its_name_and_is_found_by_it(folder: Path, own: Path) -> None:
    path = store.pull(folder, str(own), _quiet)
    assert path == folder / "mine.gguf"
    assert store.resolve(folder, "mine") == path
    assert path.read_bytes() == own.read_bytes()
    assert store.names(folder) == ("mine",)
    assert list(folder.iterdir()) == [path]
    store.verify(folder, "mine", _quiet)


def test_a_file_may_be_named_by_its_address(folder: Path, own: Path) -> None:
    spaced = own.rename(own.with_name("my own.gguf"))
    assert store.pull(folder, spaced.as_uri(), _quiet) == folder / "my own.gguf"


def test_an_address_on_the_web_is_no_name(folder: Path) -> None:
    with pytest.raises(OcgError, match="only the catalog's models") as caught:
        store.pull(folder, "https://example.org/some.gguf", _quiet)
    assert caught.value.code is Code.MODEL_UNKNOWN


def test_a_damaged_file_is_not_taken_in(folder: Path, own: Path) -> None:
    own.write_bytes(own.read_bytes()[:-40])
    with pytest.raises(OcgError) as caught:
        store.pull(folder, str(own), _quiet)
    assert caught.value.code is Code.MODEL_DAMAGED
    assert not folder.exists()


def test_a_catalog_model_may_come_from_a_file_if_it_is_that_model(folder: Path, own: Path, tiny: Model) -> None:
    brought = own.rename(own.with_name("tiny.gguf"))
    assert store.pull(folder, str(brought), _quiet) == folder / "tiny.gguf"
    assert store.state(folder, tiny) is State.HERE


def test_another_file_under_a_catalog_name_is_a_conflict(folder: Path, own: Path) -> None:
    false = own.rename(own.with_name("minilm.gguf"))
    with pytest.raises(OcgError, match="is not that one") as caught:
        store.pull(folder, str(false), _quiet)
    assert caught.value.code is Code.CONFLICT
    assert list(folder.iterdir()) == []


def test_a_path_is_checked_as_a_whole(own: Path, folder: Path) -> None:
    assert store.resolve(folder, str(own)) == own
    own.write_bytes(own.read_bytes()[:-40])
    with pytest.raises(OcgError) as caught:
        store.resolve(folder, str(own))
    assert caught.value.code is Code.MODEL_DAMAGED


def test_what_is_here_is_not_fetched_again(folder: Path, own: Path, tiny: Model) -> None:
    folder.mkdir()
    own.rename(folder / "tiny.gguf")
    said: list[str] = []
    assert store.pull(folder, "tiny", lambda what, *_: said.append(what)) == folder / "tiny.gguf"
    assert not said


def test_a_cut_off_model_is_damaged_and_the_hint_brings_it_anew(folder: Path, own: Path, tiny: Model) -> None:
    folder.mkdir()
    (folder / "tiny.gguf").write_bytes(own.read_bytes()[:-1])
    assert store.state(folder, tiny) is State.DAMAGED
    with pytest.raises(OcgError) as caught:
        store.resolve(folder, "tiny")
    assert caught.value.code is Code.MODEL_DAMAGED
    assert caught.value.hint == "ocg models rm tiny && ocg models pull tiny"


def test_verify_finds_one_changed_byte(folder: Path, own: Path, tiny: Model) -> None:
    folder.mkdir()
    path = own.rename(folder / "tiny.gguf")
    store.verify(folder, "tiny", _quiet)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert store.resolve(folder, "tiny") == path
    with pytest.raises(OcgError, match="has the checksum") as caught:
        store.verify(folder, "tiny", _quiet)
    assert caught.value.code is Code.MODEL_DAMAGED


def test_removing_takes_what_was_kept_of_a_download_too(folder: Path, own: Path, tiny: Model) -> None:
    folder.mkdir()
    part = store.part_in(folder, "tiny")
    part.write_bytes(b"half")
    assert store.state(folder, tiny) is State.PARTIAL
    store.remove(folder, "tiny")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["gone", "../mine", ""])
def test_removing_what_is_not_here_is_an_error_and_stays_in_the_folder(folder: Path, own: Path, name: str) -> None:
    folder.mkdir()
    with pytest.raises(OcgError) as caught:
        store.remove(folder, name)
    assert caught.value.code is Code.MODEL_MISSING
    assert own.exists()


def test_a_packages_model_is_as_good_as_one_of_ones_own(folder: Path, own: Path, tiny: Model, shared: Path) -> None:
    path = own.rename(shared / "tiny.gguf")
    assert store.resolve(folder, "tiny") == path
    assert store.state(folder, tiny) is State.HERE
    assert store.names(folder) == ("tiny",)
    assert store.pull(folder, "tiny", _quiet) == path
    store.verify(folder, "tiny", _quiet)
    assert not folder.exists(), "nothing was copied"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(OcgError, match="has the checksum"):
        store.verify(folder, "tiny", _quiet)


def test_ones_own_wins_over_a_packages(folder: Path, own: Path, shared: Path) -> None:
    (shared / "mine.gguf").write_bytes(own.read_bytes())
    assert store.resolve(folder, "mine") == shared / "mine.gguf"
    store.pull(folder, str(own), _quiet)
    assert store.resolve(folder, "mine") == folder / "mine.gguf"
    store.remove(folder, "mine")
    assert store.resolve(folder, "mine") == shared / "mine.gguf"


def test_a_packages_file_of_another_size_does_not_count(folder: Path, own: Path, tiny: Model, shared: Path) -> None:
    (shared / "tiny.gguf").write_bytes(own.read_bytes() + b"more")
    assert store.state(folder, tiny) is State.MISSING
    assert store.names(folder) == ()
    with pytest.raises(OcgError) as caught:
        store.resolve(folder, "tiny")
    assert caught.value.code is Code.MODEL_MISSING


def test_a_packages_model_stands_in_for_a_damaged_one(folder: Path, own: Path, tiny: Model, shared: Path) -> None:
    folder.mkdir()
    (folder / "tiny.gguf").write_bytes(own.read_bytes()[:-1])
    path = own.rename(shared / "tiny.gguf")
    assert store.state(folder, tiny) is State.HERE
    assert store.resolve(folder, "tiny") == store.pull(folder, "tiny", _quiet) == path


def test_a_packages_model_is_not_ours_to_remove(folder: Path, own: Path, shared: Path) -> None:
    path = own.rename(shared / "mine.gguf")
    with pytest.raises(OcgError, match=str(path)) as caught:
        store.remove(folder, "mine")
    assert caught.value.code is Code.FORBIDDEN
    assert "package" in caught.value.hint
    assert path.exists()
