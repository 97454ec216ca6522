"""`ocg open`: a fresh link to the page. It carries a code that works once and for ten minutes, never the token."""

import argparse
import os
import shutil
import subprocess
import time

from ocg import config
from ocg.cli import services
from ocg.managers.health import gateway_url
from ocg.managers.places import is_sealed
from ocg.protocol import login


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    services.add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the link, and hand it to the desktop's browser where there is one."""
    name = services.manager_name(arguments)
    settings = services.settings_of(arguments, name)
    address = link(settings, gateway_url(settings), name)
    print(address)
    opener = shutil.which("xdg-open") if "://" in address else None
    if opener and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        subprocess.run([opener, address], check=False)
    return 0


def link(settings: config.Common, url: str, manager: str) -> str:
    """Build the link to the gateway at `url`, or the bare address when no token is known here.

    With TLS, or behind a proxy at a Unix socket, it is called by the first of its names: certificates are for names.
    """
    url = _named(settings, url)
    if not settings.ui_token or is_sealed(manager, config.TOKEN_KEY):
        return url
    return f"{url}/#login={login.new_code(settings.ui_token, time.time())}"


def _named(settings: config.Common, url: str) -> str:
    name = next(iter(settings.allowed_hosts), "")
    if settings.gateway_sock:
        return f"https://{name}" if name else f"(the address of the proxy before {url})"
    return f"https://{name}:{settings.port}" if name and settings.tls_cert else url
