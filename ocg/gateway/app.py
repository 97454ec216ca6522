"""The gateway's application: which path is whose, and what stands before all of them."""

from dataclasses import dataclass

from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from ocg.gateway import websocket
from ocg.gateway.access import Access, LoginRoutes
from ocg.gateway.chats.chats import Chats
from ocg.gateway.headers import SafeHeaders
from ocg.gateway.health import HealthRoute
from ocg.gateway.native import NativeRoutes
from ocg.gateway.openai.chat import ChatRoute
from ocg.gateway.openai.models import Models
from ocg.gateway.page import Page
from ocg.gateway.reach import Reach
from ocg.gateway.upstream import Agent, Embedding
from ocg.lifecycle import answers
from ocg.lifecycle.guard import Guard

_OPEN = frozenset({"/", "/health", "/login", "/favicon.ico"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the application is made of; `reach` says from where it may be asked."""

    access: Access
    agent: Agent
    embedding: Embedding
    page: Page
    chats: Chats
    reach: Reach = Reach()


def create_app(parts: Parts) -> ASGIApp:
    """Build the application."""
    access = parts.access
    guarded = Guard(
        answers.create_app([*_own_routes(parts), *_openai_routes(parts), *NativeRoutes(parts.agent).routes()]),
        accepts=access.accepts,
        accepts_cookie=access.accepts_cookie,
        is_open=_is_open,
        hosts=parts.reach.hosts,
        origins=parts.reach.origins,
        on_guess=access.slow_down,
    )
    return SafeHeaders(parts.reach.around(guarded))


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith("/assets/")


def _own_routes(parts: Parts) -> list[BaseRoute]:
    login, page = LoginRoutes(parts.access), parts.page
    return [
        Route("/health", HealthRoute(parts.agent, parts.embedding).get),
        Route("/login", login.login, methods=["POST"]),
        Route("/logout", login.logout, methods=["POST"]),
        WebSocketRoute("/ws/chat", websocket.ChatRoute(parts.agent).connect),
        Route("/", page.index),
        Route("/assets/{name}", page.asset),
        Route("/favicon.ico", page.icon),
    ]


def _openai_routes(parts: Parts) -> list[BaseRoute]:
    models = Models(parts.embedding)
    chat = ChatRoute(parts.chats, parts.agent, parts.embedding)
    return [
        Route("/v1/models", models.list),
        Route("/v1/models/{id:path}", models.get),
        Route("/v1/embeddings", models.embeddings, methods=["POST"]),
        Route("/v1/chat/completions", chat.post, methods=["POST"]),
    ]
