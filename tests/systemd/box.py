"""A real systemd as PID 1, booted in a container over an overlay of this machine's own files.

Nothing in it reaches this machine: the overlay's upper layer is a tmpfs, the network a namespace of its own.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
_BOOT_S = 60.0
_TIMEOUT_S = 90.0
_OWN_UNITS = ("dbus.socket", "systemd-logind.service")


def why_not() -> str:
    """Return why this machine cannot boot a systemd in a container; nothing when it can."""
    if os.geteuid() != 0:
        return "booting a container takes root"
    for program in ("systemd-nspawn", "nsenter", "mount"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return ""


class Result(subprocess.CompletedProcess[str]):
    """What a command printed and returned."""

    @property
    def text(self) -> str:
        """Both streams, without space around."""
        return (self.stdout + self.stderr).strip()


class Box:
    """A booted container; commands run in it as root or as one of its users."""

    def __init__(self, root: Path, leader: int, *, path: str) -> None:
        self.root = root
        self._leader = leader
        self._path = path

    def run(
        self,
        *command: str,
        user: str = "",
        text: str = "",
        check: bool = True,
        timeout_s: float = _TIMEOUT_S,
        env: dict[str, str] | None = None,
    ) -> Result:
        """Run a command to its end. With `check`, a status that is not 0 fails the test with what was printed."""
        done = subprocess.run(
            self._enter(command, user, env or {}),
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        result = Result(done.args, done.returncode, done.stdout, done.stderr)
        assert not check or result.returncode == 0, f"{' '.join(command)}: {result.returncode}\n{result.text}"
        return result

    def start(self, *command: str, user: str = "", env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command and leave it running; the caller ends it."""
        return subprocess.Popen(
            self._enter(command, user, env or {}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def beside(self, *command: str) -> subprocess.Popen[str]:
        """Start a program of the tests' own on this machine's files, but in the box's network."""
        python = f"{CHECKOUT}/.venv/bin/python"
        environ = os.environ | {"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"}
        entered = ["nsenter", "-t", str(self._leader), "-n", "--", python, *command]
        return subprocess.Popen(entered, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ)

    def seen_from_here(self, path: str) -> str:
        """Return the path by which a program beside the box reaches one of the box's, its /run included."""
        return f"/proc/{self._leader}/root{path}"

    def start_fed(self, *command: str) -> subprocess.Popen[str]:
        """Start a command of the tests' own that lasts until its standard input is closed."""
        return subprocess.Popen(
            self._enter(command, "", {"PYTHONPATH": str(CHECKOUT)}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _enter(self, command: tuple[str, ...], user: str, env: dict[str, str]) -> list[str]:
        entered = ["nsenter", "-t", str(self._leader), "-m", "-p", "-u", "-i", "-n", "-C", "--"]
        environ = {"PATH": f"{self._path}/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"} | env
        if user:
            uid = self.uid(user)
            environ |= {"HOME": f"/home/{user}", "USER": user, "XDG_RUNTIME_DIR": f"/run/user/{uid}"}
            entered += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
        # The shell is what leaves this machine's folder behind: nsenter keeps it otherwise.
        pairs = [f"{key}={value}" for key, value in environ.items()]
        return [*entered, "env", "-i", "-C", environ["HOME"], *pairs, *command]

    def uid(self, user: str) -> int:
        """Return a user's number."""
        passwd = (self.root / "etc/passwd").read_text().splitlines()
        return int(next(line.split(":")[2] for line in passwd if line.startswith(f"{user}:")))

    def script(self, text: str, **options: object) -> Result:
        """Run a shell script, which ends at its first error."""
        return self.run("bash", "-euc", text, **options)  # type: ignore[arg-type]  # the same options

    def python(self, module: str, *arguments: str, **options: object) -> Result:
        """Run a module of the tests with the checkout's own Python."""
        python = f"{CHECKOUT}/.venv/bin/python"
        return self.run("env", f"PYTHONPATH={CHECKOUT}", python, "-m", module, *arguments, **options)  # type: ignore[arg-type]  # as above

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Return properties of a unit."""
        lines = self.run("systemctl", "show", unit, *(f"-p{name}" for name in properties)).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def pid(self, unit: str) -> int:
        """Return a service's main PID; 0 when it does not run."""
        return int(self.show(unit, "MainPID")["MainPID"])

    def wait_until(self, command: str, timeout_s: float = 30.0) -> None:
        """Wait until a shell command succeeds."""
        deadline = time.monotonic() + timeout_s
        while (last := self.run("bash", "-c", command, check=False)).returncode:
            assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {command}\n{last.text}"
            time.sleep(0.05)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file, by way of a process in the container, which has its own /run and /tmp."""
        self.run("install", "-D", "-m", f"{mode:o}", "/dev/stdin", path, text=text)

    def journal(self, *arguments: str) -> str:
        """Return lines of the journal."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "-q", "--no-pager", *arguments, check=False).stdout


@contextmanager
def booted(lower: Path = Path("/"), path: str = f"{CHECKOUT}/bin:") -> Iterator[Box]:
    """Boot what lies in a folder, this machine's own if none is named; give the box, power off and leave nothing.

    `path` comes before the system's own folders of programs in $PATH.
    """
    with ExitStack() as owned:
        root = owned.enter_context(_overlay(lower))
        process = owned.enter_context(_nspawn(root))
        leader = _leader(process)
        box = Box(root, leader, path=path)
        try:
            box.wait_until("systemctl is-system-running | grep -Eq 'running|degraded'", _BOOT_S)
            yield box
        finally:
            with suppress(Exception):
                box.run("systemctl", "poweroff", check=False, timeout_s=10)
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)


@contextmanager
def _overlay(lower: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ocg-test-", dir="/run"))
    folder.chmod(0o755)
    try:
        _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(folder))
        layers = {name: folder / name for name in ("upper", "work", "root")}
        for layer in layers.values():
            layer.mkdir()
        options = f"lowerdir={lower},upperdir={layers['upper']},workdir={layers['work']}"
        _mount("-t", "overlay", "-o", options, "overlay", str(layers["root"]))
        _prepare(layers["root"])
        yield layers["root"]
    finally:
        for mounted in (folder / "root", folder):
            subprocess.run(["umount", "-l", str(mounted)], check=False, stderr=subprocess.DEVNULL)
        folder.rmdir()


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _prepare(root: Path) -> None:
    """Make it a machine of its own: another id, a journal that stays, and none of the services installed here."""
    (root / "etc/machine-id").write_text("")
    (root / "var/log/journal").mkdir(exist_ok=True)
    wanted = [
        *root.glob("etc/systemd/system/*.wants/*"),
        *root.glob("etc/rc?.d/S*"),
        *root.glob("etc/systemd/system/ocg*"),
    ]
    for entry in wanted:
        if entry.name not in _OWN_UNITS:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


@contextmanager
def _nspawn(root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    console = (root.parent / "console.log").open("wb")
    # No unit of its own here, where no systemd runs; and its systemd may load what filters addresses.
    options = ["--quiet", "--register=no", "--keep-unit", "--private-network", f"--bind={CHECKOUT}", "--console=pipe"]
    options += ["--system-call-filter=bpf", "--capability=CAP_BPF,CAP_PERFMON"]
    process = subprocess.Popen(
        ["systemd-nspawn", "-D", str(root), *options, "-b"],
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=console,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        console.close()
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()


def _leader(process: "subprocess.Popen[bytes]") -> int:
    """Return the PID, seen from here, of the container's PID 1."""
    deadline = time.monotonic() + _BOOT_S
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and time.monotonic() < deadline:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/root/run/systemd/private").exists():
                return int(child)
        time.sleep(0.02)
    raise AssertionError("the container did not boot")


if __name__ == "__main__":  # `python -m tests.systemd.box`: a shell in a fresh box
    with booted() as shell:
        sys.exit(subprocess.call(shell._enter(("bash", "-i"), "", {"TERM": os.environ.get("TERM", "linux")})))
