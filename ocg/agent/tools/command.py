"""Running commands, and seeing to those in the background."""

from typing import Annotated, Literal

import msgspec

from ocg.agent.confinement import Confinement
from ocg.agent.processes import SHELL, Processes, run
from ocg.agent.tools.base import Place
from ocg.errors import Code, OcgError
from ocg.protocol import frames
from ocg.protocol.approvals import Decision
from ocg.protocol.tooling import Cage, Run

_MAX_S = 3600
_DEFAULT_S = 120
_MAX_CHARS = 1 << 16

_Line = Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_CHARS, description="a command line for the shell")]
_Folder = Annotated[str, msgspec.Meta(min_length=1, max_length=4095, description="where, below the workspace")]
_ABOUT_TIME = f"seconds until it is ended; 0 is {_DEFAULT_S}, in the background {_MAX_S}"
_Timeout = Annotated[int, msgspec.Meta(ge=0, le=_MAX_S, description=_ABOUT_TIME)]
_Network = Annotated[bool, msgspec.Meta(description="whether it needs the network, which it has not otherwise")]
_Background = Annotated[bool, msgspec.Meta(description="return at once; the tool process sees to it from then on")]


class Command(msgspec.Struct, frozen=True):
    """What to run."""

    command: _Line
    folder: _Folder = "."
    timeout_s: _Timeout = 0
    network: _Network = False
    background: _Background = False


class ExecTool:
    """See Tool."""

    name = "exec"
    description = (
        "Run a command in a shell and return what it wrote and its exit status. It can write in the workspace alone, "
        "and has no network unless it asks for it."
    )
    default: Decision = "ask"
    arguments = Command
    timeout_s = _MAX_S + 60.0
    is_repeatable = False
    is_outside = True

    def __init__(self, confinement: Confinement, processes: Processes) -> None:
        self._confinement = confinement
        self._processes = processes

    async def run(self, arguments: Command, place: Place) -> str:
        """Run it."""
        cage = Cage.NET if arguments.network else Cage.RW
        timeout_s = arguments.timeout_s or (_MAX_S if arguments.background else _DEFAULT_S)
        request = Run(
            argv=(SHELL, "-c", arguments.command),
            folder=arguments.folder,
            timeout_s=timeout_s,
            is_interactive=arguments.background,
        )
        if not arguments.background:
            return await run(self._confinement, cage, request)
        begun = await self._processes.start(place.turn.conversation, arguments.command, cage, request)
        return begun.news()


class Wish(msgspec.Struct, frozen=True):
    """What is asked of a process."""

    action: Annotated[
        Literal["list", "poll", "write", "kill", "wait"],
        msgspec.Meta(description="poll gives what is new; wait waits for its end, then does the same"),
    ]
    id: Annotated[str, msgspec.Meta(max_length=64, description="which, for all but list")] = ""
    input: Annotated[str, msgspec.Meta(max_length=_MAX_CHARS, description="what to write, with its line end")] = ""
    is_last: Annotated[bool, msgspec.Meta(description="whether its input ends with this")] = False
    wait_s: Annotated[int, msgspec.Meta(ge=1, le=600, description="how many seconds to wait at the most")] = 30

    @property
    def command(self) -> str | None:
        """What rules for commands are to judge: a shell that was allowed takes more of them as its input.

        A line without its end goes on with the next input, so nobody can say what it will be; nor does a backslash.
        """
        is_whole = self.is_last or self.input.endswith("\n")
        return (self.input if is_whole else f"{self.input}\\") if self.action == "write" else None


class ProcessTool:
    """See Tool. It only knows processes of the conversation that it is called in."""

    name = "process"
    description = "List commands that run in the background, read what they wrote, write to them, end or await them."
    default: Decision = "allow"
    arguments = Wish
    timeout_s = 630.0
    is_repeatable = False
    is_outside = True

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def run(self, arguments: Wish, place: Place) -> str:
        """Do it."""
        session_id = place.turn.conversation
        if arguments.action == "list":
            found = self._processes.of_session(session_id)
            return (
                "\n".join(f"{one.id} {one.state}: {one.line}" for one in found) or "no process runs in the background"
            )
        if not arguments.id:
            raise OcgError(Code.INVALID_REQUEST, f"{arguments.action} needs an id", "action=list gives those there are")
        process = self._processes.get(session_id, arguments.id)
        match arguments.action:
            case "write":
                await process.send(frames.INPUT, arguments.input.encode("utf-8", "replace"))
                if arguments.is_last:
                    await process.send(frames.INPUT_END)
            case "kill":
                await self._processes.kill(process)
            case "wait":
                await self._processes.wait(process, arguments.wait_s)
        return process.news()
