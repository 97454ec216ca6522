"""A browser that stays open: one request, then an action a frame, each answered."""

import shutil
from typing import Annotated, Literal

import msgspec

# What Chromium is called by distributions and by others who make it; Debian's without the script round it, which reads
# settings that a cage does not show.
_PROGRAMS = ("/usr/lib/chromium/chromium", "chromium", "chromium-browser", "google-chrome")
_ACTIONS = """open (url), back, close; snapshot: what is on the page, with a ref for each element; text: all text on it;
click (ref), type (ref, text), select (ref, text), press (a key such as Enter, in text); screenshot (path)"""


class Browse(msgspec.Struct, frozen=True, tag_field="op", tag="browse"):
    """A browser; `private` is as in Fetch."""

    private: tuple[str, ...] = ()


class Action(msgspec.Struct, frozen=True):
    """What is done in it; this the model gives."""

    action: Annotated[
        Literal["open", "snapshot", "text", "click", "type", "press", "select", "screenshot", "back", "close"],
        msgspec.Meta(description=_ACTIONS),
    ]
    url: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    ref: Annotated[str, msgspec.Meta(max_length=40, description="such as e12, of the last snapshot")] = ""
    text: Annotated[str, msgspec.Meta(max_length=20_000)] = ""
    path: Annotated[str, msgspec.Meta(max_length=4095, description="where the screenshot goes")] = "screenshot.png"

    @property
    def paths(self) -> tuple[str, ...]:
        """What rules for paths are to judge: a page that is opened is about none, whatever else the model says."""
        return (self.path,) if self.action == "screenshot" else ()


def program() -> str | None:
    """Find Chromium."""
    return next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
