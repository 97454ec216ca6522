"""The providers as users see them: listed, tried, and changed, by a reload or while they talk."""

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from ocg.agent.metrics import Metrics
from ocg.agent.providers.base import PromptMessage, Reply
from ocg.agent.providers.chain import Chain, Link
from ocg.agent.providers.factory import build, choose, chosen, model_of
from ocg.agent.providers.places import Place, key_of, reach
from ocg.agent.providers.switch import Switch
from ocg.agent.wishes import Wishes
from ocg.config import AgentSettings
from ocg.config.presets import PRESETS, Choice, Preset, choices, find
from ocg.errors import Code, OcgError
from ocg.protocol.messages import ProviderItem, ProviderList, ProviderTest

_log = logging.getLogger(__name__)
_TEST_S = 120.0
_TEST_TOKENS = 64
_QUESTION = "Answer with the one word: ready"


class Directory:
    """What there is; `provider` is the one in use. Until the settings name other ones, a user's wish comes first."""

    def __init__(self, settings: AgentSettings, wishes: Wishes, wish: str = "", metrics: Metrics | None = None) -> None:
        self._metrics = metrics or Metrics()
        self._given = settings
        self._wishes = wishes
        self._settings = _wished(settings, wish)
        self._chain = choose(self._settings, self._metrics)
        self.provider = Switch(self._chain)

    @classmethod
    async def open(cls, settings: AgentSettings, wishes: Wishes, metrics: Metrics | None = None) -> "Directory":
        """Build it with what was wished for last; what is no provider any more is forgotten."""
        try:
            return cls(settings, wishes, await wishes.model(_named(settings)), metrics)
        except ValueError as error:
            _log.warning("the model that was chosen is not there any more: %s", error)
            return cls(settings, wishes, metrics=metrics)

    async def apply(self, settings: AgentSettings) -> None:
        """Use what new settings say. Raises CONFIG_INVALID, and then nothing has changed."""
        await self._switch(_wished(settings, await self._wishes.model(_named(settings))))
        self._given = settings

    async def use(self, wish: str) -> None:
        """Use these from now on, named as OCG_PROVIDER names them, or what the settings say when there are none.

        Raises INVALID_REQUEST when there is no such provider, or its key is missing.
        """
        try:
            settings = _wished(self._given, wish)
        except ValueError as error:
            raise OcgError(Code.INVALID_REQUEST, f"no provider {wish!r}: {error}", "ocg provider list") from None
        for choice in settings.providers if wish else ():
            if self._key(choice.preset) == "missing":
                why = f"{choice.preset.title} wants a key"
                raise OcgError(Code.INVALID_REQUEST, why, f"set {choice.preset.key}, then ocg reload")
        await self._switch(settings)
        await self._wishes.keep_model(wish, _named(self._given))

    async def _switch(self, settings: AgentSettings) -> None:
        chain = choose(settings, self._metrics)
        self._settings, self._chain = settings, chain
        await self.provider.switch(chain)

    @property
    def links(self) -> tuple[Link, ...]:
        """Those in use."""
        return self._chain.links

    def list(self) -> ProviderList:
        """List those in use, in their order, then all others."""
        used = chosen(self._settings)
        items = [
            self._item(choice, link, place)
            for place, (choice, link) in enumerate(zip(used, self._chain.links, strict=True), start=1)
        ]
        others = [Choice(one) for one in PRESETS if one not in [choice.preset for choice in used]]
        return ProviderList(providers=(*items, *(self._item(one, None, 0) for one in others)))

    def place(self, name: str) -> Place:
        """Say where a provider is. Raises NOT_FOUND, and INVALID_REQUEST where its settings are missing."""
        return reach(name, self._settings)

    def provider_of(self, name: str, model: str) -> Chain:
        """Build one provider for a model of its own, past any breaker; whoever asks closes it."""
        return Chain([Link(build(Choice(find(name), model), self._settings), label=name)], self._metrics)

    def _item(self, choice: Choice, link: Link | None, place: int) -> ProviderItem:
        preset = choice.preset
        # What was learnt of a model counts more than what is asked for.
        model = (link.provider.model_name if link else "") or model_of(choice, self._settings)
        breaker = link.breaker if link else None
        return ProviderItem(
            name=preset.name,
            title=preset.title,
            model=model,
            key=self._key(preset),
            key_setting=preset.key,
            place=place,
            state=breaker.state.value if breaker else "",
            failures=breaker.failures if breaker else 0,
            left_s=round(breaker.left_s, 1) if breaker else 0.0,
            why=breaker.why if breaker else "",
        )

    def _key(self, preset: Preset) -> Literal["set", "missing", "none needed"]:
        if key_of(preset, self._settings):
            return "set"
        return "missing" if preset.needs_key else "none needed"

    async def test(self, name: str, model: str) -> ProviderTest:
        """Ask a provider something short, past any breaker. Raises NOT_FOUND, TIMEOUT, and what the provider does."""
        try:
            preset = find(name)
        except ValueError as error:
            raise OcgError(Code.NOT_FOUND, f"no provider {name!r}: {error}", "ocg provider list") from None
        used = next((one for one in chosen(self._settings) if one.preset is preset), None)
        provider = self.provider_of(name, model or (used.model if used else ""))
        try:
            async with asyncio.timeout(_TEST_S):
                return await _tried(preset.name, provider)
        except TimeoutError:
            raise OcgError(
                Code.TIMEOUT, f"{provider.name} did not answer within {_TEST_S:.0f} s", "try again, or use another"
            ) from None
        finally:
            await provider.close()


def _named(settings: AgentSettings) -> str:
    """Return the providers that the settings give."""
    return ",".join(map(str, chosen(settings)))


def _wished(settings: AgentSettings, wish: str) -> AgentSettings:
    """Put a wish into the settings. Raises ValueError when it names what is no provider."""
    return replace(settings, providers=choices(wish)) if wish else settings


async def _tried(name: str, provider: Chain) -> ProviderTest:
    began_s, first_s = time.monotonic(), 0.0
    pieces = provider.reply([PromptMessage("user", _QUESTION)], (), max_tokens=_TEST_TOKENS)
    async with aclosing(pieces):
        async for piece in pieces:
            first_s = first_s or time.monotonic() - began_s
            if isinstance(piece, Reply):
                return ProviderTest(
                    name=name,
                    model=provider.model_name,
                    text=piece.text.strip(),
                    first_s=first_s,
                    total_s=time.monotonic() - began_s,
                    usage=piece.usage,
                )
    raise OcgError(Code.INTERNAL, f"{provider.name} gave no reply", "this is a bug in OCG")
