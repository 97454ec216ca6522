"""Parts of packages without the whole."""

import importlib.util
import sys


def without_running(package: str) -> None:
    """Put a package in place without running its `__init__`, so that one of its modules can be imported alone.

    pystemd's imports lxml, 30 ms, for what we do not use. Does nothing when the package is imported already.
    """
    spec = importlib.util.find_spec(package)
    if package not in sys.modules and spec is not None:
        sys.modules[package] = importlib.util.module_from_spec(spec)
