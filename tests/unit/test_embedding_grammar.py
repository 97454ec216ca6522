"""Grammars for llama.cpp: nothing a caller writes leaves its quotes, and nothing grows without end."""

from typing import Any

import pytest

from ocg.embedding import grammar
from ocg.errors import Code, OcgError


def _root(schema: dict[str, Any]) -> str:
    """The part of a grammar that a schema decides."""
    return grammar.of_schema(schema, "tools").split("\n\n")[0]


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("a", r'"\"a\""'),
        ('"', r'"\"\\\"\""'),
        ("\\", r'"\"\\\\\""'),
        ('\\" | evil{0,100000} "', r'"\"\\\\\\\" | evil{0,100000} \\\"\""'),
        ("\n", r'"\"\\n\""'),
        ("字", '"\\"字\\""'),
    ],
)
def test_what_an_enum_holds_stays_within_its_quotes(value: str, quoted: str) -> None:
    assert _root({"enum": [value]}) == f"root ::= r0\nr0 ::= {quoted} ws"


def test_names_of_properties_stay_within_their_quotes_too() -> None:
    assert r'"\"a\\\"b\"" ws ":" ws string' in _root({"properties": {'a"b': {"type": "string"}}})


@pytest.mark.parametrize(
    "bound", [{"maxLength": 100_000}, {"minLength": 9**9}, {"pattern": "^(a+)+$"}, {"format": "date"}]
)
def test_bounds_that_end_llama_cpp_are_left_out(bound: dict[str, Any]) -> None:
    assert _root({"type": "string"} | bound) == "root ::= string"


def test_references_are_followed_within_the_schema_alone_and_never_for_ever() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
    found = _root({"$defs": {"node": node}, "$ref": "#/$defs/node"})
    assert found.count("next") < 30
    assert _root({"$ref": "https://example.org/schema"}) == "root ::= value"


def test_required_properties_come_always_and_optional_ones_in_any_selection() -> None:
    schema = {"properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}, "required": ["b"]}
    *optional, whole = _root(schema).splitlines()[1:]
    assert optional == [
        r'r0 ::= ("," ws "\"c\"" ws ":" ws null)? ""',
        r'r1 ::= ("," ws "\"a\"" ws ":" ws null)? r0',
    ]
    assert whole == r'r2 ::= "{" ws "\"b\"" ws ":" ws null r1 "}" ws'


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {str(n): {"type": "string"} for n in range(3000)}},
        {"enum": ["x" * 1000] * 200, "type": "string"},
    ],
)
def test_a_schema_that_is_too_large_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(OcgError, match="too large") as caught:
        grammar.of_schema({"anyOf": [schema, schema]}, "response_format")
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, "response_format")


def test_arguments_are_an_object_whatever_the_schema_says() -> None:
    for schema in ({}, {"type": "string"}, {"type": "array"}):
        assert r'"\"arguments\":" ws object "}"' in grammar.of_calls([("f", schema)], "tools")
