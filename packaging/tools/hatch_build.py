"""Puts ocg/build.json into what hatchling builds, and never into the checkout: `ocg version` reads it there."""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_MEMBER = "ocg/build.json"


class BuildInfoHook(BuildHookInterface[Any]):
    """Writes down the commit, its day and the kind of the build.

    OCG_COMMIT and SOURCE_DATE_EPOCH win over git; an sdist, which has no git, passes on what it was made from.
    OCG_BUILD_KIND is deb or rpm where one of those is made of the wheel.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file to a build that is not an editable one, which runs from the checkout."""
        if version == "editable":
            return
        self._folder = TemporaryDirectory(prefix="ocg-build-")
        file = Path(self._folder.name, "build.json")
        file.write_text(json.dumps(self._found()) + "\n", encoding="utf-8")
        build_data["force_include"][str(file)] = _MEMBER

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take away what was needed for the build alone."""
        del build_data, artifact_path
        if version != "editable":
            self._folder.cleanup()

    def _found(self) -> dict[str, str]:
        root = Path(self.root)
        commit, date = _of_git(root) if (root / ".git").exists() else _of_sdist(root)
        commit = os.environ.get("OCG_COMMIT") or commit
        if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
            date = _day(epoch)
        return {
            "commit": commit[:12],
            "date": date,
            "kind": os.environ.get("OCG_BUILD_KIND") or self.target_name,
        }


def _of_git(root: Path) -> tuple[str, str]:
    command = ("git", "-C", str(root), "log", "-1", "--format=%H %ct")
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return "", ""
    return found[0], _day(found[1])


def _of_sdist(root: Path) -> tuple[str, str]:
    try:
        known = json.loads((root / _MEMBER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "", ""
    return known["commit"], known["date"]


def _day(epoch_s: str) -> str:
    return datetime.fromtimestamp(int(epoch_s), UTC).date().isoformat()
