"""Says in shell words what is being packaged: the version, the commit, and the time that all files are given.

The version is ocg/__init__.py's; as long as CHANGELOG.md has no such release it is `VERSION~gitDATE.COMMIT`, which
sorts before the release and after every earlier commit. An unpacked sdist has the commit and its day in ocg/build.json.
"""

import json
import re
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]


def main() -> None:
    """Print them."""
    found = re.search(r'^__version__ = "(.+)"$', (SOURCE / "ocg/__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise SystemExit("ocg/__init__.py has no __version__")
    version, (commit, epoch) = found[1], _git() if (SOURCE / ".git").exists() else _recorded()
    if f"## [{version}]" not in (SOURCE / "CHANGELOG.md").read_text(encoding="utf-8"):
        version += f"~git{datetime.fromtimestamp(epoch, UTC):%Y%m%d%H%M%S}.{commit[:7]}"
    words = {"OCG_VERSION": version, "OCG_COMMIT": commit, "SOURCE_DATE_EPOCH": str(epoch)}
    print(*(f"export {name}={shlex.quote(word)}" for name, word in words.items()), sep="\n")


def _git() -> tuple[str, int]:
    command = ("git", "-C", str(SOURCE), "log", "-1", "--format=%H %ct")
    commit, epoch = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return commit, int(epoch)


def _recorded() -> tuple[str, int]:
    build = json.loads((SOURCE / "ocg/build.json").read_text(encoding="utf-8"))
    return build["commit"], int(datetime.fromisoformat(f"{build['date']}T00:00:00+00:00").timestamp())


if __name__ == "__main__":
    main()
