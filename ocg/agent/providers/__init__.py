"""Whoever gives replies; which one, is said here and nowhere else."""

from ocg.agent.providers.base import PromptMessage, Provider, Reply, ToolSpec
from ocg.agent.providers.openai import OpenAIProvider
from ocg.config import AgentSettings
from ocg.protocol import address
from ocg.protocol.address import Address

__all__ = ["PromptMessage", "Provider", "Reply", "ToolSpec", "choose"]

_LOCAL_CONTEXT_TOKENS = 8192  # what ocg-embedding loads its chat model with


def choose(settings: AgentSettings) -> Provider:
    """Return the provider that the settings ask for: an API by its base URL, else the local model."""
    if settings.base_url:
        where = Address(settings.base_url.rstrip("/"), settings.api_key)
        return OpenAIProvider(
            settings.base_url, lambda: where, model=settings.model, context_tokens=settings.context_tokens
        )

    def local() -> Address:
        found = address.find(settings.address_dir)
        return Address(f"{found.url}/v1", found.token)

    # The default local model has 135 million parameters: given tools, it calls them at random.
    return OpenAIProvider(
        "the local model", local, model="", context_tokens=_LOCAL_CONTEXT_TOKENS, takes_tools=False, hint="ocg restart"
    )
