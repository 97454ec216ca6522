"""Who asks, and what of a request is theirs to ask."""

import hashlib
import re
import secrets
from dataclasses import dataclass

import msgspec
from starlette.requests import HTTPConnection
from starlette.types import Scope as AsgiScope

from ocg.errors import Code, OcgError
from ocg.lifecycle.guard import CALLER
from ocg.protocol.access import Scope
from ocg.protocol.messages import AskedBy, Name, TurnRequest

# It has another model answer in every conversation.
_CHANGES_MODEL = re.compile(r"\s*/model\s+\S", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller:
    """A token's name, what it is good for, and until when (Unix time)."""

    name: str
    scopes: frozenset[Scope]
    expires_at: float | None = None

    @property
    def limit_keys(self) -> tuple[str, ...]:
        """The keys of the rate limits that its work counts against."""
        return (f"token:{self.name}",)

    def may(self, scope: Scope) -> bool:
        """Whether its token is good for that."""
        return scope in self.scopes or "admin" in self.scopes

    def check(self, scope: Scope, what: str) -> None:
        """Raise FORBIDDEN, naming the scope, when its token is not good for that."""
        if not self.may(scope):
            raise OcgError(
                Code.FORBIDDEN,
                f"the token {self.name!r} has no scope {scope!r}, which {what} takes",
                f"make another: ocg token create NAME --scope {scope}",
            )

    def session(self, name: str) -> str:
        """Return the session that is meant by a name: one that may not read others has its own, below its own name."""
        own = f"{self.name}."
        if self.may("read") or name.startswith(own):
            return name
        try:
            return msgspec.convert(own + name, Name)
        except msgspec.ValidationError:
            raise OcgError(
                Code.INVALID_REQUEST, "session_id: too long with the token's name before it", "use a shorter one"
            ) from None

    def turn(self, asked: TurnRequest) -> TurnRequest:
        """Return the turn that is meant, with who asks. Raises FORBIDDEN for what only the owner may ask."""
        if asked.reply_to is not None:
            self.check("admin", "reply_to")
        if asked.kind == "chat" and _CHANGES_MODEL.match(asked.message):
            self.check("admin", "/model with a name")
        if asked.session_id is None and (self.may("read") or asked.kind == "api"):
            session = asked.session_id
        else:
            session = self.session(asked.session_id or _new(asked.message_id))
        asker = AskedBy(name=self.name, is_owner=self.may("admin"))
        return msgspec.structs.replace(asked, session_id=session, asker=asker)


# Who has the token that every installation has, or is signed in by it.
OWNER = Caller("owner", frozenset({"admin"}))


def of(scope: AsgiScope) -> Caller | None:
    """Return who asks; None where nobody has to say, as on the page."""
    found = scope.get(CALLER)
    return found if isinstance(found, Caller) else None


def who(request: HTTPConnection) -> Caller:
    """Return who asks by a path that is not open."""
    found = of(request.scope)
    if found is None:
        raise OcgError(Code.INTERNAL, "nobody asks", "this is a bug in OCG")
    return found


def _new(message_id: str | None) -> str:
    """Name a new session; a message that comes again has to find the one it made."""
    return hashlib.sha256(message_id.encode()).hexdigest()[:32] if message_id else secrets.token_hex(16)
