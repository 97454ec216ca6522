"""A reload that fails half-way changes nothing, not even what is logged."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocg import config
from ocg.errors import Code, OcgError
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.reload import Reloader


class _Heard(Notifier):
    """Keeps what is said."""

    def __init__(self) -> None:  # without the socket of the real one
        self.said: list[str] = []

    def _say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def root_level() -> Iterator[int]:
    root = logging.getLogger()
    level = root.level
    yield level
    root.setLevel(level)


async def _refuse(_: config.Common) -> frozenset[str]:
    raise OcgError(Code.CONFIG_INVALID, "that address is none")


async def test_what_cannot_be_applied_changes_not_even_the_log_level(tmp_path: Path, root_level: int) -> None:
    file = tmp_path / "env.config"
    file.write_text("OCG_LOG_LEVEL=info\n")
    reloader = Reloader(config.Sources.find({}, {"CONFIGURATION_DIRECTORY": str(tmp_path)}), config.Common)
    file.write_text("OCG_LOG_LEVEL=debug\n")
    heard = _Heard()
    await reloader.reload(_refuse, heard, "Serving")
    assert logging.getLogger().level == root_level
    assert reloader.settings.log_level == "INFO"
    assert "could not be reloaded: that address is none" in heard.said[-1]
    await reloader.reload(None, heard, "Serving")
    assert logging.getLogger().level == logging.DEBUG
