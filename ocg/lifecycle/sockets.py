"""Listening sockets: inherited from whoever started us (sd_listen_fds(3)), or made here."""

import errno
import os
import socket
import stat
from collections.abc import Iterable
from pathlib import Path

from ocg.errors import Code, OcgError

_FIRST_FD = 3
BACKLOG = 1024


def inherited() -> list[socket.socket]:
    """Take over the sockets handed to this very process; whoever we start does not get them."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    number = int(os.environ.get("LISTEN_FDS", "0"))
    for key in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(key, None)
    found = [socket.socket(fileno=descriptor) for descriptor in range(_FIRST_FD, _FIRST_FD + number)]
    for one in found:
        one.set_inheritable(False)
        one.setblocking(False)
    return found


def listen_tcp(host: str, ports: Iterable[int], *, key: str) -> socket.socket:
    """Listen on the first free port. Raises PORT_IN_USE; `key` is the setting that would change it."""
    port = 0
    for port in ports:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # asyncio turns Nagle off only where the protocol is named: 40 ms an answer, else.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            # Two sockets may be bound to one port with SO_REUSEADDR until one listens: only this decides.
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno == errno.EACCES:
                raise OcgError(
                    Code.CONFIG_INVALID, f"port {port} is root's (ip(7))", f"set {key} to one from 1024 on"
                ) from None
            if error.errno != errno.EADDRINUSE:
                raise OcgError(
                    Code.CONFIG_INVALID, f"cannot listen on {host}: {error.strerror}", "correct the address"
                ) from None
            continue
        listener.setblocking(False)
        return listener
    raise OcgError(
        Code.PORT_IN_USE,
        f"port {port} on {host} is in use by another program",
        f"see who has it with `ss -ltnp 'sport = :{port}'`, or set {key} to another port",
    )


def is_served(host: str, port: int) -> bool:
    """Whether somebody listens on a port of this machine, and does not just have it as their own end's."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    return True


def listen_unix(
    path: Path, *, mode: int = 0o600, key: str = "OCG_AGENT_SOCK", service: str = "ocg-agent"
) -> socket.socket:
    """Listen on a Unix socket; a stale one is replaced only if it is ours and nobody answers.

    Raises ALREADY_RUNNING when somebody answers, UNSAFE_PATH when what lies there is not ours to remove, or we may make
    none there; `key` is the setting that would change the place, `service` who would answer.
    """
    _clear(path, key, service)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _bind(listener, path, mode)
    except OSError as error:
        listener.close()
        raise OcgError(
            Code.UNSAFE_PATH, f"cannot listen on {path}: {error.strerror or error}", f"set {key} to another path"
        ) from None
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _bind(listener: socket.socket, path: Path, mode: int) -> None:
    mask = os.umask(0o777 & ~mode)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)


def remove_unix(path: Path) -> None:
    """Remove the path of a listener that is closed, unless another has taken its place."""
    try:
        if path.lstat().st_uid == os.geteuid() and not answers(path):
            path.unlink()
    except FileNotFoundError:
        return


def _clear(path: Path, key: str, service: str) -> None:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if status.st_uid != os.geteuid() or not stat.S_ISSOCK(status.st_mode):
        raise OcgError(
            Code.UNSAFE_PATH,
            f"{path} is in the way: it is not a socket of ours (owner: user {status.st_uid})",
            f"remove it, or set {key} to another path",
        )
    if answers(path):
        raise OcgError(Code.ALREADY_RUNNING, f"another {service} answers on {path}", f"ocg stop, or set {key}")
    path.unlink()


def answers(path: Path) -> bool:
    """Whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # somebody is there, however badly
        return True
