"""The provider in use now: a reload puts another in its place, and what streams from the old one goes on to its end."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from ocg.agent.providers.base import PLAIN, Model, Piece, PromptMessage, Provider, ToolSpec
from ocg.protocol.replies import ReplyOptions


class Switch:
    """A Provider that passes all on to one that can change."""

    def __init__(self, provider: Provider) -> None:
        self._current = provider
        self._users: dict[Provider, int] = {provider: 0}

    @property
    def name(self) -> str:
        """See Provider."""
        return self._current.name

    @property
    def model_name(self) -> str:
        """See Provider."""
        return self._current.model_name

    async def model(self) -> Model:
        """See Provider."""
        async with self._lease() as provider:
            return await provider.model()

    async def count(self, texts: Sequence[str]) -> list[int] | None:
        """See Provider."""
        async with self._lease() as provider:
            return await provider.count(texts)

    async def reply(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[ToolSpec],
        *,
        max_tokens: int,
        options: ReplyOptions = PLAIN,
    ) -> AsyncGenerator[Piece, None]:
        """See Provider."""
        async with (
            self._lease() as provider,
            aclosing(provider.reply(messages, tools, max_tokens=max_tokens, options=options)) as pieces,
        ):
            async for piece in pieces:
                yield piece

    async def switch(self, provider: Provider) -> None:
        """Use another from now on; the old one is closed once nobody uses it."""
        old, self._current = self._current, provider
        self._users[provider] = 0
        if not self._users[old]:
            await self._retire(old)

    async def close(self) -> None:
        """Close all there are."""
        for provider in list(self._users):
            await self._retire(provider)

    @asynccontextmanager
    async def _lease(self) -> AsyncIterator[Provider]:
        provider = self._current
        self._users[provider] += 1
        try:
            yield provider
        finally:
            if provider in self._users:
                self._users[provider] -= 1
                if provider is not self._current and not self._users[provider]:
                    await self._retire(provider)

    async def _retire(self, provider: Provider) -> None:
        del self._users[provider]
        await provider.close()
