"""Skills: folders with a SKILL.md that says how something is done (agentskills.io)."""

from typing import Annotated, Literal

import msgspec

from ocg.protocol.client import Client
from ocg.protocol.struct import Struct

SkillName = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*\Z")]
# Whose folder it lies in; what is in the workspace may have been written by tools.
Origin = Literal["user", "system", "workspace"]


class Skill(Struct, frozen=True):
    """What a skill says of itself, and the folder that it is."""

    name: str
    description: str
    origin: Origin
    folder: str
    license: str = ""
    compatibility: str = ""


class SkillProblem(Struct, frozen=True):
    """A folder that is no skill, or whose skill is not used, and why."""

    folder: str
    why: str


class SkillList(Struct, frozen=True):
    """The skills by name, and what is wrong with others."""

    skills: tuple[Skill, ...]
    problems: tuple[SkillProblem, ...] = ()


class SkillText(Struct, frozen=True):
    """A skill with its instructions, and the files beside them, by their paths within its folder."""

    skill: Skill
    text: str
    files: tuple[str, ...] = ()


class SkillClient:
    """What is asked of the agent about skills, over a client of it. Names are to be checked before."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(self) -> SkillList:
        """List them."""
        return await self._client.call("GET", "/v1/skills", SkillList)

    async def show(self, name: str) -> SkillText:
        """Read one. Raises NOT_FOUND."""
        return await self._client.call("GET", f"/v1/skills/{name}", SkillText)
