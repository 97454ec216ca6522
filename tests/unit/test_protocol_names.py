"""Ids that stand in a URL's path."""

import msgspec
import pytest

from ocg.protocol.messages import Name


@pytest.mark.parametrize("name", ["a", "A-Z_0.9@x", "...", ".a", "a" * 128])
def test_a_name_is_taken(name: str) -> None:
    assert msgspec.convert(name, Name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a\n", "\na", "a/b", "a b", "ä", "a" * 129])
def test_what_would_lead_elsewhere_is_not(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, Name)
