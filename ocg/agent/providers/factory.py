"""Providers made from settings; which one is used, is said here and nowhere else."""

from collections.abc import AsyncGenerator, Sequence

from ocg.agent.metrics import Metrics
from ocg.agent.providers.anthropic import AnthropicProvider
from ocg.agent.providers.base import PLAIN, Model, Piece, PromptMessage, Provider, ToolSpec
from ocg.agent.providers.chain import Chain, Link
from ocg.agent.providers.local import LocalProvider
from ocg.agent.providers.openai import OpenAIProvider
from ocg.agent.providers.places import key_of, place_of
from ocg.agent.providers.servers import Asking
from ocg.config import AgentSettings, Thinking
from ocg.config.presets import CUSTOM, LOCAL, Choice, Dialect, Preset, Server, find
from ocg.errors import Code, OcgError
from ocg.protocol.replies import ReplyOptions

# What a model that thinks by itself may take for that beside its answer.
_THINKING_TOKENS = 8192
# The least that Anthropic takes as a budget.
_LEAST_BUDGET = 1024


class Keyless:
    """See Provider. It has no key yet, so it answers nobody."""

    def __init__(self, preset: Preset, model: str) -> None:
        self.name = preset.title
        self.model_name = model
        self._error = OcgError(
            Code.PROVIDER, f"{preset.title} wants a key", f"set {preset.key}, then ocg reload (docs/providers.md)"
        )

    async def model(self) -> Model:
        """See Provider."""
        raise self._error

    async def reply(
        self,
        messages: Sequence[PromptMessage],  # noqa: ARG002 - Provider's signature
        tools: Sequence[ToolSpec],  # noqa: ARG002 - as above
        *,
        max_tokens: int,  # noqa: ARG002 - as above
        options: ReplyOptions = PLAIN,  # noqa: ARG002 - as above
    ) -> AsyncGenerator[Piece, None]:
        """See Provider."""
        for _ in ():
            yield ""
        raise self._error

    async def count(self, texts: Sequence[str]) -> list[int] | None:
        """See Provider."""
        del texts
        return None

    async def close(self) -> None:
        """See Provider."""


def choose(settings: AgentSettings, metrics: Metrics | None = None) -> Chain:
    """Return the providers that the settings ask for. Raises CONFIG_INVALID when OCG_BASE_URL is none."""
    first, *others = chosen(settings)
    links = [
        Link(build(first, settings), price=settings.price, label=first.preset.name),
        *(Link(build(one, settings), label=one.preset.name) for one in others),
    ]
    return Chain(links, metrics)


def chosen(settings: AgentSettings) -> tuple[Choice, ...]:
    """Return which providers are in use: those of OCG_PROVIDER, else the API at OCG_BASE_URL, else the local model."""
    return settings.providers or (Choice(find(CUSTOM if settings.base_url else LOCAL)),)


def model_of(choice: Choice, settings: AgentSettings) -> str:
    """Return the name of the model that is asked for; nothing where the server chooses."""
    return choice.model or (settings.model if choice.preset.name == CUSTOM else choice.preset.model)


def thinking_tokens(preset: Preset, thinking: Thinking) -> int:
    """Return how many tokens a request asks for beside the answer at the most."""
    if preset.dialect is Dialect.ANTHROPIC:
        least = 0 if thinking.is_adaptive else _LEAST_BUDGET
        return 0 if thinking.is_off else max(thinking.tokens or _THINKING_TOKENS, least)
    return thinking.tokens or (_THINKING_TOKENS if preset.thinks else 0)


def build(choice: Choice, settings: AgentSettings) -> Provider:
    """Make one provider. Raises CONFIG_INVALID when it is the API at OCG_BASE_URL, and that is none."""
    preset, name = choice.preset, model_of(choice, settings)
    if preset.dialect is Dialect.LOCAL:
        return LocalProvider(settings.address_dir)
    key = key_of(preset, settings)
    if preset.needs_key and not key:
        return Keyless(preset, name)
    is_own = preset.name == CUSTOM or (preset.server is Server.NONE and name != preset.model)
    context = settings.context_tokens if is_own else preset.context_tokens
    thinking = thinking_tokens(preset, settings.thinking)
    model = Model(name, context, takes_images=preset.takes_images, thinking_tokens=thinking)
    place = place_of(preset, settings)
    if preset.dialect is Dialect.ANTHROPIC:
        return AnthropicProvider(place.title, place.base_url, place.blamed, model, thinking=settings.thinking)
    asking = None
    if preset.server is not Server.NONE:
        asking = Asking(preset.server, place.title, place.base_url, key, model)
    return OpenAIProvider(place.title, place.base_url, place.blamed, model, asking=asking)
