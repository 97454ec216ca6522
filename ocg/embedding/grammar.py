"""JSON schemas as grammars for llama.cpp (GBNF: github.com/ggml-org/llama.cpp/blob/master/grammars/README.md).

Written here, since llama-cpp-python's converter lets a quoted backslash in an `enum` out of its quotes and strings hold
raw control characters, and llama.cpp ends the process on some of what gets through (`maxLength` of 100,000). So only
what is harmless is taken from a schema: a lost bound makes an answer freer, never invalid JSON.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ocg.errors import Code, OcgError

Schema = Mapping[str, Any]

_MAX_DEPTH = 12
_MAX_NODES = 2000
_MAX_LITERAL_CHARS = 100_000
_DEFINITIONS = ("$defs", "definitions")
_PLAIN = {"string": "string", "number": "number", "integer": "integer", "boolean": "boolean", "null": "null"}
# No \u in strings: half of a surrogate pair is text that nobody can encode. The model can write every sign itself.
_BASE = r"""
ws ::= [ \n]?
string ::= "\"" ([^"\\\x00-\x1f\x7f] | "\\" ["\\/bfnrt])* "\"" ws
whole ::= "-"? ("0" | [1-9] [0-9]{0,15})
integer ::= whole ws
number ::= whole ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})? ws
boolean ::= ("true" | "false") ws
null ::= "null" ws
array ::= "[" ws (value ("," ws value)*)? "]" ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
value ::= object | array | string | number | boolean | null
"""


def of_schema(schema: Schema, param: str) -> str:
    """Return the grammar of what fits a schema. Raises INVALID_REQUEST, blaming `param`, when it is too large."""
    grammar = _Grammar(param)
    return grammar.text(grammar.rule(schema, schema, 0))


def of_calls(tools: Sequence[tuple[str, Schema]], param: str) -> str:
    """Return the grammar of a call of one of the tools, given by name and schema of the arguments. Raises as above."""
    grammar = _Grammar(param)
    return grammar.text(" | ".join(_call(grammar, name, schema) for name, schema in tools))


def _call(grammar: "_Grammar", name: str, schema: Schema) -> str:
    arguments = grammar.rule(schema, schema, 0) if schema.get("type", "object") == "object" else "object"
    if arguments == "value":
        arguments = "object"
    return rf'"{{" ws "\"name\":" ws {grammar.literal(name)} "," ws "\"arguments\":" ws {arguments} "}}"'


class _Grammar:
    """A grammar in the making. What is left counts down, since references can multiply what is small."""

    def __init__(self, param: str) -> None:
        self._param = param
        self._rules: list[str] = []
        self._nodes_left = _MAX_NODES
        self._chars_left = _MAX_LITERAL_CHARS

    def text(self, root: str) -> str:
        """Return the whole."""
        return "\n".join([f"root ::= {root}", *self._rules, _BASE])

    def rule(self, schema: object, root: Schema, depth: int) -> str:
        """Return the name of the rule for a schema; `root` holds its definitions."""
        self._nodes_left -= 1
        if self._nodes_left < 0 or self._chars_left < 0:
            raise OcgError(
                Code.INVALID_REQUEST, f"{self._param}: a schema is too large", "send a simpler one", param=self._param
            )
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            return "value"
        if "$ref" in schema:
            return self.rule(_definition(root, str(schema["$ref"])), root, depth + 1)
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list) and schema[key]:
                return self._new(" | ".join(self.rule(one, root, depth + 1) for one in schema[key]))
        allowed = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(allowed, list) and allowed:
            return self._new(" | ".join(f"{self.literal(one)} ws" for one in allowed))
        return self._typed(schema, root, depth)

    def literal(self, value: object) -> str:
        """Quote a value's JSON as the grammar's own text."""
        text = json.dumps(value, ensure_ascii=False)
        self._chars_left -= len(text)
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\x7f", "\\x7f") + '"'

    def _new(self, body: str) -> str:
        name = f"r{len(self._rules)}"
        self._rules.append(f"{name} ::= {body}")
        return name

    def _typed(self, schema: Schema, root: Schema, depth: int) -> str:
        kind = schema.get("type", "object" if "properties" in schema else None)
        if isinstance(kind, list) and kind:
            return self._new(" | ".join(self.rule({**schema, "type": one}, root, depth + 1) for one in kind))
        if kind == "object":
            return self._object(schema, root, depth)
        if kind == "array":
            item = self.rule(schema.get("items"), root, depth + 1)
            return self._new(f'"[" ws ({item} ("," ws {item})*)? "]" ws')
        return _PLAIN.get(kind, "value") if isinstance(kind, str) else "value"

    def _object(self, schema: Schema, root: Schema, depth: int) -> str:
        properties, required = schema.get("properties"), schema.get("required")
        if not isinstance(properties, Mapping) or not properties:
            return "object"
        pairs = {
            name: f'{self.literal(name)} ws ":" ws {self.rule(one, root, depth + 1)}'
            for name, one in properties.items()
        }
        needed = [name for name in pairs if isinstance(required, list) and name in required]
        first = ' "," ws '.join(pairs[name] for name in needed)
        # Each rule of the chain is all that may follow: the rest of the optional ones, in their order.
        rest, starts = '""', []
        for name in reversed([name for name in pairs if name not in needed]):
            starts.append(f"{pairs[name]} {rest}")
            rest = self._new(f'("," ws {pairs[name]})? {rest}')
        inside = f"{first} {rest}" if needed else f"({' | '.join(reversed(starts))})?"
        return self._new(f'"{{" ws {inside} "}}" ws')


def _definition(root: Schema, ref: str) -> object:
    place, _, name = ref.removeprefix("#/").rpartition("/")
    found = root.get(place) if place in _DEFINITIONS else None
    return found.get(name) if isinstance(found, Mapping) else None
