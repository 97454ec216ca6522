"""Which confinement there is; it is decided here and nowhere else."""

import logging
import shutil
from pathlib import Path

from ocg.agent.confinement.base import Confinement
from ocg.agent.confinement.bubblewrap import Bubblewrap
from ocg.agent.confinement.programs import Programs, Unconfined
from ocg.agent.confinement.refusal import Refusal
from ocg.agent.confinement.sockets import WORKSPACE, Sockets
from ocg.config import AgentSettings

_log = logging.getLogger(__name__)


def choose(settings: AgentSettings) -> Confinement:
    """Choose by OCG_TOOL_SANDBOX: the units' sockets, bubblewrap, or none at all, which has to be said."""
    workspace, ours = settings.workspace_dir, (settings.data_dir, settings.address_dir)
    match settings.tool_sandbox:
        case "systemd" if workspace.resolve() != WORKSPACE.resolve():
            why = f"the units show tools {WORKSPACE}, and OCG_WORKSPACE or OCG_DATA_DIR make it {workspace}"
            return Refusal(why, f"leave both out, and mount your folder at {WORKSPACE}: docs/confinement.md")
        case "systemd":
            return Sockets(settings.address_dir)
        case "none":
            _log.warning("OCG_TOOL_SANDBOX=none: nothing confines tools, which can do all that you can")
            return Programs("unconfined", Unconfined(workspace).command)
        case _ if any(_is_in(workspace, path) for path in (*ours, settings.config_file)):
            why = f"{workspace} holds OCG's own data, or is where env.config is looked for"
            return Refusal(why, "set OCG_WORKSPACE to a folder without them, or start OCG with --config elsewhere")
        case _ if shutil.which("bwrap") is None:
            return Refusal("there is no bubblewrap", "install the package bubblewrap, then restart OCG")
        case _:
            return Programs("bubblewrap", Bubblewrap(workspace, ours, (settings.data_dir / "skills",)).command)


def _is_in(workspace: Path, path: Path) -> bool:
    """Whether it lies there, or does but for a link there, in whose place a tool could put something else."""
    return any(one.resolve().is_relative_to(workspace.resolve()) for one in (path, path.parent))
