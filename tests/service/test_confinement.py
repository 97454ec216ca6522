"""What bubblewrap holds: every attack on what is outside of a cage, or on the machine, fails."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attacks import ATTACKS, LIES

CHECKOUT = Path(__file__).resolve().parents[2]
SITE_PACKAGES = [path for path in sys.path if path.endswith("site-packages")]
NOBODY = 65534
Results = dict[str, dict[str, Any]]

# Bombs take their time, on a machine that has other things to do as well.
pytestmark = pytest.mark.timeout(600)


class User:
    """Somebody who runs OCG, and a Python that works for them."""

    def __init__(self, uid: int) -> None:
        self.uid = uid
        self.words: list[str] = []
        if uid != os.geteuid():
            self.words = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
        self.env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *SITE_PACKAGES])}
        self.python = next((one for one in (sys.executable, "/usr/bin/python3") if self._works(one)), "")

    def _works(self, python: str) -> bool:
        # One that may be run, but not read, finds another's library.
        probe = "import msgspec, os, sys, tests.attacks; sys.exit(not os.access(sys.executable, os.X_OK))"
        words = [*self.words, python, "-c", probe]
        return subprocess.run(words, env=self.env, cwd="/", capture_output=True, check=False).returncode == 0

    def attack(self, folder: Path, sandbox: str) -> Results:
        """Run all attacks in a folder and return what came of each."""
        secret = secrets.token_hex(16)
        (folder / "others").write_text(secret)  # ours alone
        (folder / "others").chmod(0o600)
        for name in ("workspace", "data"):
            (folder / name).mkdir()
            os.chown(folder / name, self.uid, self.uid)
        words = ["--workspace", f"{folder}/workspace", "--data", f"{folder}/data", "--others", f"{folder}/others"]
        done = subprocess.run(
            [*self.words, self.python, "-m", "tests.attack_host", sandbox, *words],
            env=self.env | {"SECRET": secret},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=580,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return {result["name"]: result for result in map(json.loads, done.stdout.splitlines())}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others may enter, as they may not enter pytest's."""
    with tempfile.TemporaryDirectory(prefix="ocg-attacks-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


# As whoever runs the tests; and as an ordinary user where that is root, for whom the kernel makes exceptions.
@pytest.mark.parametrize("uid", sorted({os.geteuid(), NOBODY} if os.geteuid() == 0 else {os.geteuid()}))
def test_bubblewrap_holds_against_every_attack(folder: Path, uid: int) -> None:
    """Nothing is read, written, signalled or reached that is not in the cage, and no bomb goes off."""
    user = User(uid)
    assert user.python, f"no Python and checkout that user {uid} may read"
    results = user.attack(folder, "bubblewrap")
    assert {one.name for one in (*ATTACKS, *LIES)} == results.keys()
    bad = [one for one in results.values() if one["has_won"] or one["harm"] or not one["was_tried"]]
    assert not bad, json.dumps(bad, indent=2)
    assert "2 GiB of memory" in results["memory without end"]["error"], results["memory without end"]
    assert "2 GiB of memory" in results["memory without end, by many"]["error"]


def test_attacks_succeed_where_nothing_confines_them(folder: Path) -> None:
    """They are real: without a cage each that does no harm gets what it wants."""
    results = User(os.geteuid()).attack(folder, "unconfined")
    failed = [one.name for one in ATTACKS if one.works_unconfined and not results[one.name]["has_won"]]
    assert not failed
