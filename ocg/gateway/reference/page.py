"""One static page of HTML out of the two documents: no script, no style but its sheet, nothing from elsewhere."""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from ocg.gateway.reference.types import example, fields, folded, line, name_of, table

STYLE_PATH = "/docs/style.css"
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"

Document = Mapping[str, Any]
# An operation as method, path and what is said of it.
_Operation = tuple[str, str, Document]
_Groups = list[tuple[Document, list[_Operation]]]


def written(openapi: Document, asyncapi: Document) -> str:
    """Write the page."""
    info, groups = openapi["info"], _groups(openapi)
    content = "".join(
        (
            _introduction(openapi),
            *(_group(tag, operations, openapi) for tag, operations in groups),
            _events(asyncapi),
            _types({**asyncapi["components"]["schemas"], **openapi["components"]["schemas"]}),
        )
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(info['title'])} API {escape(info['version'])}</title>"
        f'<link rel="stylesheet" href="{STYLE_PATH}"></head><body><a class="skip" href="#content">To the content</a>'
        f'<header><a href="/docs"><strong>OCG</strong> API</a><small>{escape(info["version"])}</small>'
        '<span class="links"><a href="/openapi.json">OpenAPI</a><a href="/asyncapi.json">AsyncAPI</a>'
        f'<a href="/">Chat</a></span></header>{_navigation(groups, asyncapi)}'
        f'<main id="content">{content}</main></body></html>'
    )


def _groups(openapi: Document) -> _Groups:
    """List the groups in their order, each with its operations."""
    found: dict[str, list[_Operation]] = {}
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    return [(tag, found[tag["name"]]) for tag in openapi["tags"] if tag["name"] in found]


def _navigation(groups: _Groups, asyncapi: Document) -> str:
    parts = [
        f'<li><a href="#group-{escape(tag["name"])}">{escape(tag["name"])}</a><ul>'
        + "".join(
            f'<li><a href="#{escape(one["operationId"])}">{_method(method)}<span>{_path(path)}</span></a></li>'
            for method, path, one in operations
        )
        + "</ul></li>"
        for tag, operations in groups
    ]
    channels = "".join(
        f'<li><a href="#channel-{name}"><span>{_path(one["address"])}</span></a></li>'
        for name, one in asyncapi["channels"].items()
    )
    parts += [f'<li><a href="#events">Events</a><ul>{channels}</ul></li>', '<li><a href="#types">Types</a></li>']
    return f'<nav aria-label="Contents"><ul>{"".join(parts)}</ul></nav>'


def _introduction(openapi: Document) -> str:
    return (
        f"<section><h1>{escape(openapi['info']['title'])} API</h1><p>{_prose(openapi['info']['description'])}</p>"
        "<p>Send a token with each request; every operation says which scope the token needs. What goes wrong is "
        'answered by an <a class="type" href="#type-ErrorBody">ErrorBody</a>, which says what, why, and what to do, '
        "or in the shape of the API that is spoken.</p>"
        '<pre>curl http://127.0.0.1:55003/v1/models -H "Authorization: Bearer $TOKEN"</pre></section>'
    )


def _group(tag: Document, operations: list[_Operation], openapi: Document) -> str:
    name = escape(tag["name"])
    body = "".join(_operation(method, path, one, openapi) for method, path, one in operations)
    return f'<section><h2 id="group-{name}">{name}</h2><p>{_prose(tag["description"])}</p>{body}</section>'


def _operation(method: str, path: str, one: Document, openapi: Document) -> str:
    scope = next((scope for each in one.get("security", ()) for scope in each.get("token", ())), "")
    needs = "no token" if one.get("security") == [] else scope
    summary = (
        f'{_method(method)}<code class="path">{_path(path)}</code><span class="about">{escape(one["summary"])}</span>'
        f'<span class="scope">{escape(needs)}</span>'
    )
    return folded(one["operationId"], summary, "".join(_parts(method, path, one, openapi)))


def _parts(method: str, path: str, one: Document, openapi: Document) -> Iterator[str]:
    schemas = openapi["components"]["schemas"]
    if parameters := one.get("parameters"):
        rows = "".join(
            f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
            f"<td>{line(each['schema'])}</td><td>{escape(each.get('description', ''))}</td></tr>"
            for each in parameters
        )
        yield "<h3>Parameters</h3>" + table(("Name", "In", "Type", "About"), rows)
    for media, body in one.get("requestBody", {}).get("content", {}).items():
        yield f"<h3>Takes {_media(media)} {line(body['schema'])}</h3>{_body(body['schema'], schemas)}"
    yield f"<h3>Answers</h3>{_answers(one['responses'])}<h3>Try it</h3>{_curl(method, path, one, schemas)}"


def _body(schema: Document, schemas: Document) -> str:
    found = schemas.get(name_of(schema), schema)
    return f"<p>{_prose(found.get('description', ''))}</p>{fields(found)}"


def _answers(responses: Document) -> str:
    rows = "".join(
        f"<tr><td><code>{status}</code></td><td>{' or '.join(_answer(*each) for each in _contents(one))}</td>"
        f"<td>{escape(one['description'])}</td></tr>"
        for status, one in responses.items()
    )
    return table(("Status", "Body", "When"), rows)


def _contents(response: Document) -> list[tuple[str, Document]]:
    return [(media, body["schema"]) for media, body in response.get("content", {}).items()] or [("", {})]


def _answer(media: str, schema: Document) -> str:
    if not media:
        return "none"
    if media == "text/event-stream":
        data = schema["properties"]["data"]["anyOf"]
        return f"{_media(media)} of {' | '.join(line(one.get('contentSchema', one)) for one in data)}"
    return f"{_media(media)} {line(schema)}"


def _curl(method: str, path: str, one: Document, schemas: Document) -> str:
    parts = [f"curl -X {method} http://127.0.0.1:55003{path}"]
    if one.get("security") != []:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if body := one.get("requestBody", {}).get("content", {}).get("application/json"):
        parts.append(f"-d '{json.dumps(example(body['schema'], schemas), ensure_ascii=False)}'")
    command = " \\\n  ".join(parts)
    return f"<pre>{escape(command)}</pre>"


def _events(asyncapi: Document) -> str:
    schemas = asyncapi["components"]["schemas"]
    messages = "".join(
        folded(f"message-{name}", _named(one["name"], one["summary"]), fields(schemas[name_of(one["payload"])]))
        for name, one in asyncapi["components"]["messages"].items()
    )
    channels = "".join(_channel(name, one, asyncapi) for name, one in asyncapi["channels"].items())
    about = _prose(asyncapi["info"]["description"])
    return f'<section><h2 id="events">Events</h2><p>{about}</p>{channels}<h3>Messages</h3>{messages}</section>'


def _channel(name: str, channel: Document, asyncapi: Document) -> str:
    words = {"receive": "You send", "send": "You hear"}
    rows = "".join(
        f"<tr><td>{words[one['action']]}</td><td>{_messages(one, asyncapi)}</td></tr>"
        for one in asyncapi["operations"].values()
        if name_of(one["channel"]) == name
    )
    heading = f'<h3 id="channel-{name}"><code class="path">{_path(channel["address"])}</code></h3>'
    return f"{heading}<p>{_prose(channel['description'])}</p>{table(('', 'Messages'), rows)}"


def _messages(operation: Document, asyncapi: Document) -> str:
    known = asyncapi["components"]["messages"]
    keys = [name_of(one) for one in operation["messages"]]
    return ", ".join(f'<a class="type" href="#message-{key}">{escape(known[key]["name"])}</a>' for key in keys)


def _types(schemas: Document) -> str:
    parts = "".join(
        folded(f"type-{name}", _named(name, one.get("description", "")), fields(one))
        for name, one in sorted(schemas.items())
    )
    return f'<section><h2 id="types">Types</h2>{parts}</section>'


def _named(name: str, about: str) -> str:
    return f'<code class="path">{escape(name)}</code><span class="about">{_prose(about)}</span>'


def _method(method: str) -> str:
    return f'<b class="method {method.lower()}">{method}</b>'


def _path(path: str) -> str:
    """Let a long path break behind its slashes."""
    return escape(path).replace("/", "/<wbr>")


def _media(media: str) -> str:
    return f"<small>{escape(media)}</small>"


def _prose(text: str) -> str:
    """Write a description, with what stands in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
