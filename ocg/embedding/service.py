"""ocg-embedding as a service: loads the embedding model, opens the vectors, publishes its address."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from socket import socket

from ocg import config
from ocg.config import EmbeddingSettings, token
from ocg.embedding.app import create_app
from ocg.embedding.chat import ChatModel
from ocg.embedding.encoder import Encoder
from ocg.embedding.llama import thread_count
from ocg.embedding.metrics import Metrics
from ocg.embedding.tokens import Tokens
from ocg.embedding.vectors import VectorStore
from ocg.lifecycle import pidfile, sockets
from ocg.lifecycle.guard import same_token
from ocg.lifecycle.measured import Measured
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.service import Serving
from ocg.models import catalog, store
from ocg.protocol import address
from ocg.telemetry import spans

_log = logging.getLogger(__name__)
_PORTS = range(50000, 60001)
_EXTEND_S = 20.0
# What a reload can take over.
_LIVE = frozenset({config.TOKEN_KEY, "OCG_LOCAL_MODEL_IDLE"})


class EmbeddingService:
    """See ocg.lifecycle.service.Service."""

    name = "ocg-embedding"

    def __init__(self, settings: EmbeddingSettings) -> None:
        self.pid_dir = settings.pid_dir
        self._settings = settings

    @asynccontextmanager
    async def open(self, notifier: Notifier, inherited: list[socket]) -> AsyncIterator[Serving]:
        """Build all there is to serve."""
        settings = self._settings
        async with AsyncExitStack() as owned:
            tracer = await owned.enter_async_context(spans.tracing(settings.traces, self.name))
            metrics = Metrics(tracer)
            encoder = await self._load(notifier, metrics)
            owned.push_async_callback(encoder.close)
            vectors = await VectorStore.open(settings.data_dir / "vectors.db", encoder, metrics=metrics)
            owned.push_async_callback(vectors.close)
            chat = self._chat(metrics)
            owned.push_async_callback(chat.close)
            tokens = Tokens(chat.name, self._locate_chat, idle_s=settings.chat_idle_s)
            owned.push_async_callback(tokens.close)
            listener = self._inherited(inherited[0]) if inherited else self._listen()
            where = address.Address(f"http://127.0.0.1:{listener.getsockname()[1]}", address.new_token())
            accepted = [where.token, await _ui_token(settings)]

            async def apply(new: EmbeddingSettings) -> frozenset[str]:
                accepted[1] = await _ui_token(new)
                chat.idle_s = tokens.idle_s = new.chat_idle_s
                return _LIVE

            pidfile.open_dir(settings.address_dir)
            address.publish(settings.address_dir, where)
            owned.callback(address.withdraw, settings.address_dir, where)
            app = create_app(
                encoder=encoder,
                vectors=vectors,
                chat=chat,
                tokens=tokens,
                metrics=metrics,
                accepts=lambda found: any(same_token(found, one) for one in accepted),
            )
            yield Serving(
                Measured(app, metrics.meter, tracer),
                [listener],
                where.url,
                workers=(*encoder.workers, chat.worker, tokens.worker, *vectors.workers),
                apply=apply,
            )

    async def _load(self, notifier: Notifier, metrics: Metrics) -> Encoder:
        """Load the embedding model, asking for more time as long as it takes."""
        settings = self._settings
        path = store.resolve(settings.models_dir, str(settings.model_path or catalog.EMBEDDING_DEFAULT))
        notifier.status(f"Loading {path.stem}")
        loading = asyncio.ensure_future(self._encoder(path, metrics))
        try:
            while not loading.done():
                notifier.extend_start(_EXTEND_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(loading), _EXTEND_S / 2)
        finally:
            loading.cancel()
        return loading.result()

    async def _encoder(self, path: Path, metrics: Metrics) -> Encoder:
        settings = self._settings
        return await Encoder.load(
            path,
            threads=thread_count(settings.threads),
            cache_file=settings.data_dir / "embeddings.db",
            cache_bytes=settings.cache_mb << 20,
            metrics=metrics,
        )

    def _chat(self, metrics: Metrics) -> ChatModel:
        settings = self._settings
        return ChatModel(
            Path(settings.chat_model).stem if settings.chat_model.endswith(".gguf") else settings.chat_model,
            self._locate_chat,
            metrics,
            threads=thread_count(settings.threads),
            idle_s=settings.chat_idle_s,
        )

    def _locate_chat(self) -> Path:
        return store.resolve(self._settings.models_dir, self._settings.chat_model)

    def _inherited(self, listener: socket) -> socket:
        port = listener.getsockname()[1]
        if self._settings.embedding_port not in {0, port}:
            _log.warning(
                "EMBEDDING_SERVER_PORT counts for nothing here: ocg-embedding.socket has port %d; to change it: %s",
                port,
                "systemctl edit ocg-embedding.socket",
            )
        return listener

    def _listen(self) -> socket:
        port = self._settings.embedding_port
        return sockets.listen_tcp("127.0.0.1", [port] if port else _PORTS, key="EMBEDDING_SERVER_PORT")


async def _ui_token(settings: EmbeddingSettings) -> str:
    return settings.ui_token or await asyncio.to_thread(token.ensure, settings.data_dir)
