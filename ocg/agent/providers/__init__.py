"""Whoever gives replies; which one, is said here and nowhere else."""

from ocg.agent.providers.base import Model, PromptMessage, Provider, Reply, ToolSpec
from ocg.agent.providers.local import LocalProvider
from ocg.agent.providers.openai import OpenAIProvider
from ocg.agent.providers.switch import Switch
from ocg.config import AgentSettings

__all__ = ["Model", "PromptMessage", "Provider", "Reply", "Switch", "ToolSpec", "choose"]


def choose(settings: AgentSettings) -> Provider:
    """Return the provider that the settings ask for: an API by its base URL, else the local model."""
    if settings.base_url:
        return OpenAIProvider(
            settings.base_url, settings.api_key, model=settings.model, context_tokens=settings.context_tokens
        )
    return LocalProvider(settings.address_dir)
