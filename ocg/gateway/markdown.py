"""A conversation as a Markdown document, to keep or to send to somebody."""

import datetime as dt

from ocg.protocol.messages import Message, Transcript

_SPEAKERS = {"user": "You", "assistant": "OCG"}


def written(transcript: Transcript) -> str:
    """Write it out: what was said and which tools were called, without what the tools gave."""
    title = " ".join(transcript.session.title.split())
    parts = [f"# {title}", *(_part(one) for one in transcript.messages if one.role in _SPEAKERS)]
    return "\n\n".join(parts) + "\n"


def _part(message: Message) -> str:
    when = dt.datetime.fromtimestamp(message.created_at, dt.UTC)
    called = "\n".join(f"- called `{one.name}`" for one in message.tool_calls)
    pictures = f"*{message.images} pictures*" if message.images else ""
    head = f"**{_SPEAKERS[message.role]}**, {when:%Y-%m-%d %H:%M} UTC"
    return "\n\n".join(part for part in (head, message.content.strip(), pictures, called) if part)
