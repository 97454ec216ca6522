"""The gateway's application: which path is whose, and what stands before all of them."""

from dataclasses import dataclass

from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from ocg.gateway import websocket
from ocg.gateway.access import Access, LoginRoutes
from ocg.gateway.administration import AccessRoutes
from ocg.gateway.admission import Admission
from ocg.gateway.anthropic.messages import MessagesRoutes
from ocg.gateway.approvals import ApprovalRoutes
from ocg.gateway.channels import ChannelRoutes
from ocg.gateway.chats.chats import Chats
from ocg.gateway.description import Description
from ocg.gateway.dialects import render
from ocg.gateway.equipment import EquipmentRoutes
from ocg.gateway.gate import gated
from ocg.gateway.headers import SafeHeaders
from ocg.gateway.health import HealthRoutes
from ocg.gateway.limits import Limits
from ocg.gateway.mcp import McpRoutes
from ocg.gateway.memories import MemoryRoutes
from ocg.gateway.metrics import MetricsRoute
from ocg.gateway.native import NativeRoutes
from ocg.gateway.ollama.chats import ChatRoutes
from ocg.gateway.ollama.embed import EmbedRoutes
from ocg.gateway.ollama.models import ModelRoutes
from ocg.gateway.openai.chat import ChatRoute
from ocg.gateway.openai.models import Models
from ocg.gateway.openai.responses.routes import ResponseRoutes
from ocg.gateway.page import Page
from ocg.gateway.reach import Reach
from ocg.gateway.schedules import ScheduleRoutes
from ocg.gateway.shares import Shares
from ocg.gateway.skills import SkillRoutes
from ocg.gateway.tokens import Tokens
from ocg.gateway.upstream import Agent, Embedding
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint, routes
from ocg.lifecycle.guard import Guard
from ocg.lifecycle.guests import Guests

_PAGE = ("/", "/favicon.ico")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the application is made of. `places` is how much may go on at once, `reach` from where it may be asked.

    `bodies` is how many bytes the requests may have that go on.
    """

    access: Access
    agent: Agent
    embedding: Embedding
    page: Page
    chats: Chats
    tokens: Tokens
    limits: Limits
    places: Shares
    bodies: Shares
    guests: Guests
    metrics: MetricsRoute
    reach: Reach = Reach()


def create_app(parts: Parts) -> ASGIApp:
    """Build the application."""
    access, listed = parts.access, endpoints(parts)
    is_open = frozenset((*_PAGE, *(one.path for one in listed if one.is_open)))
    socket = WebSocketRoute("/ws/chat", websocket.ChatRoute(parts.agent, parts.limits, parts.places).connect)
    routed = gated(
        [*routes(listed), socket, *_page_routes(parts.page)], listed, parts.limits, sockets={socket.path: "chat"}
    )
    guarded = Guard(
        Admission(
            answers.create_app(routed, render=render),
            parts.tokens,
            places=parts.places,
            bodies=parts.bodies,
            guests=parts.guests,
        ),
        accepts=access.accepts,
        accepts_cookie=access.accepts_cookie,
        is_open=lambda path: path in is_open or path.startswith("/assets/"),
        hosts=parts.reach.hosts,
        origins=parts.reach.origins,
        on_guess=access.slow_down,
        render=render,
    )
    return SafeHeaders(parts.reach.around(guarded))


def endpoints(parts: Parts) -> tuple[Endpoint, ...]:
    """List all that is asked over HTTP; the page's files are none of it."""
    models = Models(parts.agent, parts.embedding)
    listed = (
        *ChatRoute(parts.chats, parts.agent, parts.embedding, parts.limits).endpoints(),
        *models.endpoints(),
        *MessagesRoutes(parts.chats, parts.agent, parts.embedding).endpoints(),
        *ChatRoutes(parts.chats, models).endpoints(),
        *EmbedRoutes(parts.agent, parts.embedding).endpoints(),
        *ModelRoutes(models, parts.embedding).endpoints(),
        *ResponseRoutes(parts.chats, parts.agent).endpoints(),
        *NativeRoutes(parts.agent).endpoints(),
        *MemoryRoutes(parts.agent).endpoints(),
        *ScheduleRoutes(parts.agent).endpoints(),
        *McpRoutes(parts.agent).endpoints(),
        *ChannelRoutes(parts.agent).endpoints(),
        *EquipmentRoutes(parts.agent).endpoints(),
        *SkillRoutes(parts.agent).endpoints(),
        *ApprovalRoutes(parts.agent).endpoints(),
        *HealthRoutes(parts.agent, parts.embedding).endpoints(),
        *parts.metrics.endpoints(),
        *AccessRoutes(parts.tokens, parts.limits).endpoints(),
        *LoginRoutes(parts.access).endpoints(),
    )
    return (*listed, *Description(listed).endpoints())


def _page_routes(page: Page) -> list[Route]:
    return [Route("/", page.index), Route("/assets/{name}", page.asset), Route("/favicon.ico", page.icon)]
