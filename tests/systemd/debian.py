"""A clean Debian to install packages in: what debootstrap makes, and nothing of this machine's."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.systemd.box import CHECKOUT, Box

_ROOT = CHECKOUT / ".make/debian"
# What boots; all else comes as a dependency of the package, or not at all.
_INCLUDED = "systemd,systemd-sysv,dbus"
# What the test of the rpm needs beside: rpm itself, and what a distribution that has rpm would bring along.
FOR_RPM = ("rpm", "procps", "python3.11", "libgomp1", "libstdc++6")
# What the README takes for granted.
FOR_README = ("sudo", "man-db")
_APT = ("apt-get", "install", "-qq", "--yes", "--no-install-recommends")
# Asks the installed OCG for an embedding, by OpenAI's API, and prints how many dimensions it has.
EMBEDDING = """
import json, urllib.request
token = open("/var/lib/ocg/token").read().strip()
headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
request = urllib.request.Request("http://127.0.0.1:55003/v1/embeddings", b'{"input": "hello"}', headers)
print(len(json.load(urllib.request.urlopen(request))["data"][0]["embedding"]))
"""
# Has a tool say who it is, as the agent would.
_CALL = """
import asyncio, pathlib
from ocg.agent.confinement.sockets import Sockets
from ocg.protocol import frames
from ocg.protocol.tooling import Cage, Run

async def said():
    async with Sockets(pathlib.Path("/run/ocg")).open(Cage.RO, Run(argv=("id", "-un"))) as confined:
        return b"".join([data async for kind, data in confined.frames() if kind == frames.OUTPUT])

print(asyncio.run(said()).decode(), end="")
"""


def root(*packages: Path) -> Path:
    """Return the folder of a clean Debian that has these packages in /packages, and all they depend on in apt's cache.

    Making it takes a minute with a mirror at hand; it is kept beside what `make` keeps.
    """
    if not (_ROOT / "etc/os-release").exists():
        _make()
    folder = _ROOT / "packages"
    folder.mkdir(exist_ok=True)
    for earlier in folder.glob(f"*{packages[0].suffix}"):
        earlier.unlink()
    for package in packages:
        shutil.copy(package, folder)
    debs = [f"/packages/{package.name}" for package in packages if package.suffix == ".deb"]
    _inside("apt-get", "install", "-qq", "--yes", "--download-only", *debs)
    _inside(*_APT, "--download-only", *FOR_RPM, *FOR_README)
    return _ROOT


def install(box: Box, *packages: str) -> None:
    """Install, in a box without network, some of what lies ready."""
    box.run(*_APT, *packages)


def is_confined(box: Box) -> bool:
    """Have the installed OCG run a tool, and tell whether that was who it should be."""
    return box.run("runuser", "-u", "ocg", "--", "/usr/lib/ocg/bin/python3", "-c", _CALL).stdout == "ocg-tool\n"


def knows_paris(box: Box) -> bool:
    """Ask the model by `ocg chat`, as a user would, up to five times.

    It draws its words at a temperature above 0, and of 40 answers to this question 3 said something else.
    """
    return any("Paris" in box.run("ocg", "chat", "What is the capital of France?", text="").stdout for _ in range(5))


def repacked(package: Path, folder: Path, version: str, additions: dict[str, str]) -> Path:
    """Make another version of a deb, in which some files have something more at their end.

    They are named by their path, or by the one below site-packages.
    """
    tree = folder / version
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN/control"
    lines = control.read_text().splitlines()
    control.write_text("\n".join(f"Version: {version}" if one.startswith("Version:") else one for one in lines) + "\n")
    _add(tree, additions)
    target = folder / f"ocg_{version}_amd64.deb"
    subprocess.run(["dpkg-deb", "-Zzstd", "-z1", "--root-owner-group", "-b", tree, target], check=True)
    shutil.rmtree(tree)
    return target


def rebuilt(packages: Iterable[Path], folder: Path, version: str, additions: dict[str, str]) -> Path:
    """Make another version of an rpm by its own spec, all but the building; `additions` as for a deb.

    The spec makes more than one package, so all of them are needed.
    """
    tree = folder / "tree"
    tree.mkdir()
    for package in packages:
        with subprocess.Popen(["rpm2cpio", package], stdout=subprocess.PIPE) as unpacking:
            unpacked = ["cpio", "--extract", "--make-directories", "--quiet", "--preserve-modification-time"]
            subprocess.run(unpacked, stdin=unpacking.stdout, cwd=tree, check=True)
    _add(tree, additions)
    head, _, rest = (CHECKOUT / "packaging/rpm/ocg.spec").read_text().partition("%prep\n")
    _, _, tail = rest.partition("%pre\n")
    again = f"cp -a {tree}/usr/share/doc/ocg/. .\n%install\ncp -a {tree}/. %{{buildroot}}\n"
    spec = folder / "ocg.spec"
    spec.write_text(f"{head.replace('w19T2', 'w1')}%prep\n{again}%pre\n{tail.rpartition('%changelog')[0]}")
    sources = CHECKOUT / "packaging/systemd"
    named = {"_topdir": folder, "_sourcedir": sources, "ocg_version": version, "ocg_source": "none"}
    defined = (word for name, value in named.items() for word in ("--define", f"{name} {value}"))
    done = subprocess.run(["rpmbuild", "-bb", *defined, spec], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    shutil.rmtree(tree)
    [target] = folder.glob("RPMS/x86_64/*.rpm")
    return target


def _add(tree: Path, additions: dict[str, str]) -> None:
    [site] = tree.glob("usr/lib/ocg/lib/python3.*/site-packages")
    compiling = ["/usr/bin/python3", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    for name, addition in additions.items():
        path = tree / name[1:] if name.startswith("/") else site / name
        with path.open("a") as file:
            file.write(addition)
        if path.suffix == ".py":
            subprocess.run([*compiling, path], check=True)


def _make() -> None:
    shutil.rmtree(_ROOT, ignore_errors=True)
    _ROOT.parent.mkdir(exist_ok=True)
    mirror, suite = _mirror()
    beside = _ROOT.with_name("debian.new")
    shutil.rmtree(beside, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={_INCLUDED}", suite, str(beside), mirror]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    # The same mirrors as here, also for security updates.
    (beside / "etc/apt/sources.list").write_text("")
    for name in ("sources.list.d/debian.sources", "apt.conf.d"):
        source = Path("/etc/apt") / name
        if source.is_dir():
            shutil.copytree(source, beside / "etc/apt" / name, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy(source, beside / "etc/apt" / name)
    if not (beside / "etc/apt/sources.list.d/debian.sources").exists():
        shutil.copy("/etc/apt/sources.list", beside / "etc/apt/sources.list")
    beside.rename(_ROOT)
    _inside("apt-get", "update", "-qq")


def _mirror() -> tuple[str, str]:
    """Ask apt where this machine has its Debian from, and which one."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    release = Path("/etc/os-release").read_text()
    suite = next(line.split("=", 1)[1] for line in release.splitlines() if line.startswith("VERSION_CODENAME="))
    return next(line.split()[0] for line in lines if line.split()[1:] == [suite, "main"]), suite


def _inside(*command: str) -> None:
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LANG": "C.UTF-8"}
    environ |= {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")}
    shutil.copy("/etc/resolv.conf", _ROOT / "etc/resolv.conf")
    done = subprocess.run(["chroot", _ROOT, *command], capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, json.dumps(command) + done.stdout[-2000:] + done.stderr
