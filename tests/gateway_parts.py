"""What the gateway's application is made of, for tests that ask it nothing but what it can be asked."""

import dataclasses
from typing import Any

from ocg.gateway.app import Parts
from ocg.gateway.metrics import MetricsRoute
from ocg.telemetry.metrics import Meter


class _Nobody:
    """Has every method there is."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def idle_parts() -> Parts:
    """Parts that are never asked."""
    nobody: Any = _Nobody()
    named = {one.name: nobody for one in dataclasses.fields(Parts) if one.default is dataclasses.MISSING}
    return Parts(**named | {"metrics": MetricsRoute(nobody, nobody, Meter("ocg-gateway"))})
