"""Where providers are, with which keys: what the settings say of them."""

from dataclasses import dataclass

from ocg.agent.providers.openai import host_of
from ocg.agent.providers.refusal import Settings
from ocg.config import AgentSettings, value_of
from ocg.config.presets import CUSTOM, Dialect, Preset, find
from ocg.errors import Code, OcgError


@dataclass(frozen=True, slots=True)
class Place:
    """Where a provider is asked, and how it wants to be: all that a request needs beside its body."""

    title: str
    base_url: str
    dialect: Dialect
    blamed: Settings


def key_of(preset: Preset, settings: AgentSettings) -> str:
    """Return the key for a provider."""
    return str(value_of(settings, preset.key)) if preset.key else ""


def reach(name: str, settings: AgentSettings) -> Place:
    """Say where a provider is, in use or not. Raises NOT_FOUND, and INVALID_REQUEST where its settings are missing."""
    try:
        preset = find(name)
    except ValueError as error:
        raise OcgError(Code.NOT_FOUND, f"no provider {name!r}: {error}", "ocg provider list", param="model") from None
    if preset.dialect is Dialect.LOCAL:
        raise OcgError(Code.INVALID_REQUEST, "ocg-agent passes nothing on to the local model", "ask ocg-embedding")
    missing = preset.key if preset.needs_key and not key_of(preset, settings) else ""
    if preset.name == CUSTOM and not settings.base_url:
        missing = "OCG_BASE_URL"
    if missing:
        hint = f"set {missing}, then ocg reload (docs/providers.md)"
        raise OcgError(Code.INVALID_REQUEST, f"{preset.title} wants {missing}", hint, param="model")
    return place_of(preset, settings)


def place_of(preset: Preset, settings: AgentSettings) -> Place:
    """Say where a provider of one of the APIs is. Raises CONFIG_INVALID when it is OCG_BASE_URL, and that is none."""
    key = key_of(preset, settings)
    if preset.name == CUSTOM:
        return Place(host_of(settings.base_url, key), settings.base_url.rstrip("/"), preset.dialect, Settings(key))
    urls = dict(settings.provider_urls)
    base_url = urls.get(preset.name, preset.base_url)
    # A URL of the user's own may hold a password.
    shown = "OCG_PROVIDER_URLS" if preset.name in urls else base_url
    blamed = Settings(key, preset.key, "the model in OCG_PROVIDER", shown)
    return Place(preset.title, base_url, preset.dialect, blamed)
