"""What the bus answers becomes an error that says which and what helps; where there is no bus, that is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pystemd import dbusexc

from ocg.errors import Code, OcgError
from ocg.managers import bus
from ocg.managers.bus import Bus

_SYSTEMD = "org.freedesktop.systemd1."
_DBUS = "org.freedesktop.DBus.Error."


@pytest.mark.parametrize(
    ("name", "code", "message", "hint"),
    [
        (f"{_DBUS}AccessDenied", Code.FORBIDDEN, "you may not restart ocg.target: polkit says no", "usermod -aG ocg"),
        (f"{_DBUS}InteractiveAuthorizationRequired", Code.FORBIDDEN, "polkit says no", "use sudo"),
        (f"{_SYSTEMD}NoSuchUnit", Code.NOT_FOUND, "systemd knows no ocg.target", "ocg service install"),
        (f"{_DBUS}FileNotFound", Code.NOT_FOUND, "ocg.target is not installed", "ocg service install"),
        (f"{_SYSTEMD}UnitMasked", Code.FORBIDDEN, "ocg.target is masked", "systemctl unmask ocg.target"),
        (f"{_DBUS}NoReply", Code.UNAVAILABLE, "systemd does not answer: so it says", "systemctl status"),
        (f"{_DBUS}Disconnected", Code.UNAVAILABLE, "systemd does not answer", "systemctl status"),
        (f"{_SYSTEMD}ShuttingDown", Code.UNAVAILABLE, "RestartUnit ocg.target: so it says", "systemctl status"),
    ],
)
def test_each_refusal_is_named_with_the_remedy(name: str, code: Code, message: str, hint: str) -> None:
    error = dbusexc.DBusError(-1, name.encode(), b"so it says")
    found = bus._explained(error, "RestartUnit", "ocg.target")
    assert found.code is code
    assert message in found.message
    assert hint in found.hint


def test_an_error_without_words_is_told_in_the_kernels() -> None:
    assert "Connection reset by peer" in bus._explained(dbusexc.DBusError(-104), "listen to", "systemd").message


@pytest.mark.parametrize("user", [True, False])
def test_no_bus_is_told(*, user: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nowhere")
    with (
        pytest.raises(OcgError, match=f"no connection to the {'user' if user else 'system'}'s bus") as caught,
        Bus(user=user),
    ):
        pytest.fail("there is one")
    assert caught.value.code is Code.UNAVAILABLE


def test_root_goes_the_short_way_unless_a_bus_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def ways(*, user: bool) -> list[str]:
        return [type(one).__name__ for one in bus._connections(user=user)]

    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert ways(user=False) == ["DBusAddress", "DBus"]
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
    assert ways(user=False) == ["DBus"]
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert ways(user=False) == ["DBus"]
    assert ways(user=True) == ["DBusAddress", "DBusAddress"]


def test_bytes_become_text_all_the_way_down() -> None:
    assert bus._decoded([b"a", {b"k": (b"v", 1)}]) == ["a", {"k": ["v", 1]}]
    assert bus._encoded(["a", ("b", 2)]) == [b"a", [b"b", 2]]


def test_what_we_do_not_use_of_pystemd_is_not_imported() -> None:
    code = (
        "import sys\n"
        "from ocg.managers.bus import Bus\n"
        "assert 'pystemd' not in sys.modules, 'imported where no systemd is asked'\n"
        "try:\n"
        "    Bus(user=True).__enter__()\n"
        "except Exception:\n"
        "    pass\n"
        "assert 'pystemd.dbuslib' in sys.modules\n"
        "assert 'lxml' not in sys.modules\n"
    )
    environ = {"XDG_RUNTIME_DIR": "/nowhere", "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environ)
