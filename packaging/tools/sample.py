"""The env.config that a package installs: every key, what it means, and the value it has when nobody says."""

import textwrap
from collections.abc import Iterator
from dataclasses import fields

from ocg.config import AgentSettings, EmbeddingSettings, GatewaySettings
from ocg.config.settings import AlertSettings, Common, Setting

_HEAD = """\
Settings of OCG: each key with its default. To change one, take away the # before it.

KEY=VALUE lines, as systemd reads them (EnvironmentFile=); quotes as in a shell. \
`ocg reload` takes changes over without an interruption and says what needs `ocg restart`.

Secrets may stand here, for this file is not everybody's to read; a credential is better. See env.config(5)."""

_BY_SYSTEMD = {"STATE_DIRECTORY": "/var/lib/ocg"}
GROUPS: dict[str, type[Common]] = {
    "All three services and the command": Common,
    "ocg-embedding": EmbeddingSettings,
    "ocg-agent": AgentSettings,
    "ocg-gateway": GatewaySettings,
    "When a service gives up": AlertSettings,
}


def write() -> str:
    """Return its text."""
    parts = [_comment(_HEAD)]
    for title, kind in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [_entry(one) for one in settings_of(kind)]
    return "\n".join(parts)


def settings_of(kind: type[Common]) -> Iterator[Setting]:
    """Return the settings of one group that no other has."""
    shared = set() if kind is Common else {item.name for item in fields(Common)}
    return (item.metadata["setting"] for item in fields(kind) if item.name not in shared)


def describe(setting: Setting) -> str:
    """Say what a setting means, and who else has a say in it."""
    if setting.decided_by:
        return f"{setting.doc}. Under systemd it is up to {setting.decided_by}, not to this file."
    if setting.systemd:
        return f"{setting.doc}; {_BY_SYSTEMD[setting.systemd]} for the system's units."
    return f"{setting.doc}."


def _entry(setting: Setting) -> str:
    return f"{_comment(describe(setting))}#{setting.key}={setting.default}\n"


def _comment(text: str) -> str:
    wrapped = (textwrap.wrap(line, 78) or [""] for line in text.splitlines())
    return "".join(f"# {line}".rstrip() + "\n" for lines in wrapped for line in lines)
