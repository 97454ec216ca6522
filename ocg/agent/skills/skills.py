"""The skills there are: of two with one name, the first counts, and what people put there comes before the workspace's.

What lies in the workspace may have been written by tools, and so by whoever wrote what they read. It takes no name from
the user's skills, and nothing that it says of itself stands in a prompt before the model asks for it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from ocg.agent.reader import Reader, read_once
from ocg.agent.skills import front, scan
from ocg.agent.skills.scan import Found, Library, Root
from ocg.errors import Code, OcgError
from ocg.protocol.skills import Skill, SkillList, SkillProblem, SkillText

T = TypeVar("T")

SYSTEM = (Path("/usr/local/share/ocg/skills"), Path("/usr/share/ocg/skills"))
_IN_WORKSPACE = ("skills", ".agents/skills", ".claude/skills")
_MOST_NAMED = 50


def roots(data_dir: Path, workspace: Path) -> tuple[Root, ...]:
    """Return where skills are looked for."""
    return (
        Root("user", data_dir / "skills"),
        *(Root("system", path) for path in SYSTEM),
        *(Root("workspace", workspace, below) for below in _IN_WORKSPACE),
    )


class Skills:
    """Looks at the folders each time it is asked, and reads what has changed."""

    def __init__(self, roots: tuple[Root, ...]) -> None:
        self._roots = roots
        self._reader: Reader[Library] = Reader("skills", MappingProxyType({}))

    async def list(self) -> SkillList:
        """List them by name, and what is wrong with others."""
        library = await self._library()
        used = _used(library)
        problems = [SkillProblem(path, one.why or _hidden(one, used)) for path, one in library.items()]
        skills = sorted((one.skill for one in used.values() if one.skill), key=lambda skill: skill.name)
        return SkillList(skills=tuple(skills), problems=tuple(one for one in problems if one.why))

    async def lines(self) -> tuple[str, ...]:
        """Tell the model of them, in a line each; of those in the workspace it is told the names alone."""
        skills = (await self.list()).skills
        trusted = tuple(f"{one.name}: {one.description}" for one in skills if one.origin != "workspace")
        others = ", ".join([one.name for one in skills if one.origin == "workspace"][:_MOST_NAMED])
        return (*trusted, *([f"in the workspace, and not the user's word: {others}"] if others else []))

    async def show(self, name: str) -> SkillText:
        """Read one. Raises NOT_FOUND."""
        found, skill = await self._require(name)

        def job() -> SkillText:
            return SkillText(skill=skill, text=front.instructions(scan.text_of(found)), files=scan.files_of(found))

        return await _read(skill, job)

    async def read(self, name: str, file: str) -> tuple[Skill, str]:
        """Read a file of one. Raises NOT_FOUND, and INVALID_REQUEST where there is no such file."""
        found, skill = await self._require(name)
        return skill, await _read(skill, lambda: scan.text_of(found, file))

    async def _library(self) -> Library:
        return await self._reader.read(lambda known: scan.scan(self._roots, known))

    async def _require(self, name: str) -> tuple[Found, Skill]:
        found = _used(await self._library()).get(name)
        if found is None or found.skill is None:
            raise OcgError(Code.NOT_FOUND, f"no skill {name[:80]!r}", "ocg skill list shows them")
        return found, found.skill


async def _read(skill: Skill, job: Callable[[], T]) -> T:
    try:
        return await read_once(skill.folder, job)
    except OSError as error:
        raise OcgError(Code.NOT_FOUND, f"{skill.folder}: {error.strerror}", "it may have been removed") from None


def _used(library: Library) -> Mapping[str, Found]:
    """Return the first of each name."""
    return {one.skill.name: one for one in reversed(list(library.values())) if one.skill}


def _hidden(one: Found, used: Mapping[str, Found]) -> str:
    """Say that another has the same name and comes first; nothing where none does."""
    first = used[one.skill.name].skill if one.skill else None
    return f"{first.folder} has the same name, and comes first" if first and first is not one.skill else ""
