"""AppStream's metadata: the template, with the releases of CHANGELOG.md in it."""

import html
from datetime import date
from pathlib import Path

import releases

_TEMPLATE = Path(__file__).parents[1] / "metainfo/ocg.metainfo.xml"


def write(version: str, today: date) -> str:
    """Fill in the template; what is unreleased yet becomes `version` of `today`."""
    found = "\n".join(_release(release, version, today) for release in releases.read())
    return _TEMPLATE.read_text(encoding="utf-8").replace("@RELEASES@", found)


def _release(release: releases.Release, version: str, today: date) -> str:
    points = "".join(
        f"\n          <li>{html.escape(point.replace('`', ''), quote=False)}</li>" for point in release.points
    )
    return f"""\
    <release version="{release.version or version}" date="{release.day or today}">
      <description>
        <ul>{points}
        </ul>
      </description>
    </release>"""
