"""What no schema says, for Schemathesis: it imports this by $SCHEMATHESIS_HOOKS."""

from typing import Any

import schemathesis

_MOST_TOKENS = 4
_MOST_TOOLS = 2
_TOO_MANY_TOOLS = 128


def map_body(_: Any, body: Any) -> Any:
    """Write whole numbers as such: to JSON Schema 12.0 is an integer, to msgspec it is not."""
    match body:
        case float():
            return int(body) if body.is_integer() else body
        case list():
            return [map_body(_, one) for one in body]
        case dict():
            return {key: map_body(_, one) for key, one in body.items()}
    return body


def before_call(_: Any, case: Any, __: Any) -> None:
    """Keep a real model's answers short: what is tried is what is asked for, not how long a model can talk."""
    if case.operation.path != "/v1/chat/completions" or not isinstance(case.body, dict):
        return
    for key in ("max_tokens", "max_completion_tokens"):
        asked = case.body.get(key)
        if asked is None or (isinstance(asked, int) and asked > _MOST_TOKENS):
            case.body[key] = _MOST_TOKENS
    tools = case.body.get("tools")
    if isinstance(tools, list) and len(tools) <= _TOO_MANY_TOOLS:
        case.body["tools"] = tools[:_MOST_TOOLS]


for hook in (map_body, before_call):
    schemathesis.hook(hook)
