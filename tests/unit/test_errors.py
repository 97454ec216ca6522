"""Errors: one code everywhere, documented."""

from pathlib import Path

from ocg.errors import Code, OcgError
from ocg.protocol import wire


def test_every_code_is_documented_with_its_statuses() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "errors.md").read_text()
    for code in Code:
        assert f"| `{code}` | {code.http_status} | {code.exit_status} |" in text


def test_an_error_crosses_the_wire_unchanged() -> None:
    for code in Code:
        error = wire.read_error(400, wire.error_body(OcgError(code, "what", "do this", param="a.b")))
        assert (error.code, error.message, error.hint, error.param) == (code, "what", "do this", "a.b")


def test_what_a_restart_cannot_mend_exits_with_78() -> None:
    assert Code.CONFIG_INVALID.exit_status == Code.PORT_IN_USE.exit_status == 78
    assert Code.MODEL_MISSING.exit_status == 69
    assert Code.INTERNAL.exit_status == 70


def test_an_answer_that_is_no_error_of_ours_is_still_told() -> None:
    error = wire.read_error(502, b"<html>Bad gateway</html>")
    assert error.code is Code.PROVIDER
    assert "502" in error.message
    assert "Bad gateway" in error.message
