"""Markdown files below the workspace's memory folder: what stands in them is remembered, as they are now."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.provider import provider, says
from tests.service.agent import Agent, agent
from tests.service.memory import listed, search, wait_for


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder, with a file that is there before the agent is."""
    made = tmp_path / "work" / "memory"
    made.mkdir(parents=True)
    (made / "home.md").write_text("# Servers\n\n- staging listens on port 8080\n- production listens on port 443\n")
    return made


@pytest.fixture
def files_env(env: dict[str, str], folder: Path) -> dict[str, str]:
    """Settings with that workspace."""
    return env | {"OCG_WORKSPACE": str(folder.parent)}


@pytest.fixture
def reading(tmp_path: Path, files_env: dict[str, str]) -> Iterator[Agent]:
    """An agent that has read the folder."""
    with agent(tmp_path, files_env) as found:
        wait_for(lambda: len(listed(found)) == 2)
        yield found


def _texts(found: Agent) -> set[str]:
    return {one["text"] for one in listed(found)}


def test_a_file_is_read_at_the_start_with_its_headings_as_source(reading: Agent, folder: Path) -> None:
    assert search(reading, "staging")[0] == "Servers: staging listens on port 8080"
    assert {one["source"] for one in listed(reading)} == {"file:home.md#Servers"}
    assert (folder / "home.md").read_text().startswith("# Servers\n\n- staging")


def test_written_renamed_edited_and_deleted_files_are_followed(reading: Agent, folder: Path) -> None:
    kept = {one["text"]: one["id"] for one in listed(reading)}
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "people.md").write_text("Anna keeps bees.\n")
    wait_for(lambda: "Anna keeps bees." in _texts(reading))
    (folder / ".home.md.swp").write_text(
        "# Servers\n\n- staging listens on port 8081\n- production listens on port 443\n"
    )
    (folder / ".home.md.swp").rename(folder / "home.md")  # as vim and most others write
    wait_for(lambda: "Servers: staging listens on port 8081" in _texts(reading))
    now = {one["text"]: one["id"] for one in listed(reading)}
    assert "Servers: staging listens on port 8080" not in now
    unchanged = "Servers: production listens on port 443"
    assert now[unchanged] == kept[unchanged]
    (folder / "deep").rename(folder / "shallow")
    wait_for(lambda: any(one["source"] == "file:shallow/er/people.md" for one in listed(reading)))
    (folder / "shallow" / "er" / "people.md").unlink()
    wait_for(lambda: "Anna keeps bees." not in _texts(reading))
    assert search(reading, "bees") == []


def test_what_changed_while_the_agent_was_away_is_seen(
    tmp_path: Path, files_env: dict[str, str], reading: Agent, folder: Path
) -> None:
    reading.process.stop()
    (folder / "home.md").unlink()
    (folder / "new.md").write_text("The cellar floods in March.\n")
    with agent(tmp_path, files_env) as found:
        wait_for(lambda: _texts(found) == {"The cellar floods in March."})


def test_a_folder_that_is_deleted_and_made_again_is_followed(reading: Agent, folder: Path) -> None:
    (folder / "home.md").unlink()
    folder.rmdir()
    wait_for(lambda: _texts(reading) == set())
    folder.mkdir(exist_ok=True)
    (folder / "again.md").write_text("It is back.\n")
    wait_for(lambda: _texts(reading) == {"It is back."})


def test_links_pipes_binaries_and_giants_are_refused_with_a_line_in_the_log(
    reading: Agent, folder: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("A secret of another folder.\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "more.md").write_text("Another secret.\n")
    (folder / "link.md").symlink_to(secret)
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.md")
    (folder / "binary.md").write_bytes(b"\x00\x01\xff" * 100)
    (folder / "latin.md").write_bytes(b"ol\xe9")
    (folder / "giant.md").write_bytes(b"word " * 300_000)
    (folder / "ignored.txt").write_text("Not Markdown.\n")
    (folder / os.fsdecode(b"bad-\xff.md")).write_text("A name that is no text.\n")
    (folder / "last.md").write_text("The last one.\n")
    wait_for(lambda: "The last one." in _texts(reading))
    assert len(_texts(reading)) == 3
    for name in ("link.md", "linked", "pipe.md", "binary.md", "latin.md", "giant.md"):
        assert f"{folder / name} is not read: " in reading.process.log, name


def test_a_memory_in_a_file_is_deleted_by_editing_the_file(reading: Agent) -> None:
    one = listed(reading)[0]
    status, error = reading.ask("DELETE", f"/v1/memories/{one['id']}")
    assert (status, error["error"]["code"]) == (409, "conflict")
    assert "home.md#Servers" in error["error"]["message"]
    assert len(listed(reading)) == 2


def test_what_stands_in_a_file_reaches_the_model(tmp_path: Path, files_env: dict[str, str]) -> None:
    with provider(says("8080")) as model, agent(tmp_path, files_env | model.env) as found:
        wait_for(lambda: len(listed(found)) == 2)
        found.say("On which port does staging listen?")
        assert "- Servers: staging listens on port 8080" in model.asked[-1]["messages"][0]["content"]


def test_the_same_words_in_a_file_and_from_the_user_are_two_memories(reading: Agent, folder: Path) -> None:
    text = "Servers: staging listens on port 8080"
    assert reading.ask("POST", "/v1/memories", {"text": text})[0] == 200
    (folder / "home.md").unlink()
    wait_for(lambda: [one["source"] for one in listed(reading)] == ["user"])
