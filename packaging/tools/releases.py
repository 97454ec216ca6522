"""What CHANGELOG.md says of each release, for whoever writes it down in another form."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"


@dataclass(frozen=True, slots=True)
class Release:
    """A section of the changelog; `version` and `day` are None while it is unreleased. `points` are its bullets."""

    version: str | None
    day: date | None
    points: tuple[str, ...]


def read(path: Path = CHANGELOG) -> tuple[Release, ...]:
    """Read all sections, the newest first. A section without a bullet says nothing and is left out."""
    sections = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return tuple(release for release in map(_release, sections) if release.points)


def day_of(epoch: int) -> date:
    """Turn seconds since 1970 into the day in UTC."""
    return datetime.fromtimestamp(epoch, UTC).date()


def _release(section: str) -> Release:
    heading, _, body = section.partition("\n")
    match = re.fullmatch(r"\[(?:Unreleased|(\S+))\](?: - (\d{4}-\d\d-\d\d))?", heading.strip())
    if not match:
        raise ValueError(f"CHANGELOG.md: «## {heading}» is neither [Unreleased] nor [VERSION] - DATE")
    version, day = match.groups()
    bullets = re.findall(r"^- (.*(?:\n {2}.*)*)", body, re.MULTILINE)
    return Release(version, date.fromisoformat(day) if day else None, tuple(" ".join(text.split()) for text in bullets))
