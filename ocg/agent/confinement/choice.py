"""Which confinement there is; it is decided here and nowhere else."""

import shutil

from ocg.agent.confinement.base import Confinement
from ocg.agent.confinement.programs import Programs
from ocg.agent.confinement.refusal import Refusal
from ocg.agent.confinement.sockets import Sockets
from ocg.config import AgentSettings


def choose(settings: AgentSettings) -> Confinement:
    """Choose by OCG_TOOL_SANDBOX: the units' sockets, bubblewrap, or none at all, which has to be said."""
    match settings.tool_sandbox:
        case "systemd":
            return Sockets(settings.address_dir)
        case "none":
            return Programs("unconfined", settings.workspace_dir)
        case _:
            return Programs("bubblewrap", settings.workspace_dir) if shutil.which("bwrap") else Refusal()
