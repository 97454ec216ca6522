"""Where everything goes: one object for the system's manager, one for a user's."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Folders are what systemd makes of %E, %S, %t, %C and %L; `tmpfiles` and `policy` are files of ours.

    `policy` and `catalogs` are what only the system has.
    """

    is_user: bool
    units: Path
    packaged: tuple[Path, ...]
    tmpfiles: Path
    config: Path
    data: Path
    runtime: Path
    leftovers: tuple[Path, ...]
    link: Path
    policy: Path | None = None
    catalogs: Path | None = None

    @classmethod
    def system(cls, root: Path = Path("/")) -> Self:
        """Build the system's; `root` is another one in tests."""
        return cls(
            is_user=False,
            units=root / "etc/systemd/system",
            packaged=(root / "usr/lib/systemd/system", root / "lib/systemd/system"),
            tmpfiles=root / "etc/tmpfiles.d/ocg.conf",
            config=root / "etc/ocg",
            data=root / "var/lib/ocg",
            runtime=root / "run/ocg",
            leftovers=(root / "var/cache/ocg", root / "var/log/ocg"),
            link=root / "tmp/ocg",
            policy=root / "etc/polkit-1/rules.d/50-ocg.rules",
            catalogs=root / "usr/local/lib/systemd/catalog",
        )

    @classmethod
    def user(cls, environ: Mapping[str, str], root: Path = Path("/")) -> Self:
        """Build a user's."""
        home = Path(environ.get("HOME") or Path.home())
        config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        return cls(
            is_user=True,
            units=config / "systemd/user",
            packaged=(root / "usr/lib/systemd/user", root / "lib/systemd/user"),
            tmpfiles=config / "user-tmpfiles.d/ocg.conf",
            config=config / "ocg",
            data=home / ".ocg",
            runtime=Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "ocg",
            leftovers=(),
            link=root / "tmp/ocg",
        )

    @property
    def settings(self) -> Path:
        """The env.config."""
        return self.config / "env.config"

    @property
    def models(self) -> Path:
        """The folder of models."""
        return self.data / "models"
