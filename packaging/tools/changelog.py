"""Writes Debian's changelog and rpm's %changelog from the newest section of CHANGELOG.md."""

import argparse
import textwrap
import tomllib
from datetime import UTC, datetime
from email.utils import format_datetime, formataddr
from pathlib import Path

import releases


def main() -> None:
    """Write OUT/changelog and OUT/changelog.spec."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--version", required=True, help="the version of OCG, without the package's revision")
    parser.add_argument("--date", required=True, type=int, metavar="EPOCH", help="seconds since 1970")
    arguments = parser.parse_args()
    points = releases.read()[0].points
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("changelog", _debian(arguments.version, arguments.date, points)),
        ("changelog.spec", _rpm(arguments.version, arguments.date, points)),
    ):
        (arguments.out / name).write_text(text, encoding="utf-8")


def _debian(version: str, epoch: int, points: tuple[str, ...]) -> str:
    """One entry in the form of deb-changelog(5)."""
    bullets = "\n".join(_wrapped(point, "  * ", "    ") for point in points)
    when = format_datetime(datetime.fromtimestamp(epoch, UTC))
    return f"ocg ({version}-1) unstable; urgency=medium\n\n{bullets}\n\n -- {_maintainer()}  {when}\n"


def _rpm(version: str, epoch: int, points: tuple[str, ...]) -> str:
    """One entry of %changelog, where a per cent sign would begin a macro."""
    day = releases.day_of(epoch).strftime("%a %b %d %Y")
    bullets = "\n".join(_wrapped(point, "- ", "  ") for point in points)
    return f"* {day} {_maintainer()} - {version}-1\n{bullets}\n".replace("%", "%%")


def _maintainer() -> str:
    project = tomllib.loads((releases.CHANGELOG.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    who = project["maintainers"][0]
    return formataddr((who["name"], who["email"]))


def _wrapped(point: str, first: str, later: str) -> str:
    return textwrap.fill(
        point, 80, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


if __name__ == "__main__":
    main()
