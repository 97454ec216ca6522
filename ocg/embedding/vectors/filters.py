"""A filter of metadata as SQL over the table of fields, which is sorted so that no row's JSON is read."""

import math

from ocg.errors import Code, OcgError
from ocg.protocol.vectors import Filter, Operators, Scalar

Parameter = str | int | float
_MAX_INTEGER = 2**63  # SQLite's
_MAX_CLAUSES = 100  # SQLite compiles 500 terms of a compound SELECT
_MAX_VALUES = 1000
_COMPARE = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_OPERATORS = ("$eq", "$ne", "$in", *_COMPARE)


def typed(key: str, value: Scalar, name: str) -> tuple[str, Parameter]:
    """Return a value's type and what stands for it in SQLite.

    Raises INVALID_REQUEST for what SQLite cannot compare: it cuts texts at NUL, and its integers have 64 bits.
    """
    match value:
        case None:
            return "null", 0
        case bool():
            return "bool", int(value)
        case str():
            if "\0" in value:
                raise _refused(f"{name}: {key!r} has a NUL in it", "take it out", name)
            return "string", value
        case int():
            if not -_MAX_INTEGER <= value < _MAX_INTEGER:
                raise _refused(f"{name}: {key!r} needs more than 64 bits", "send it as a text", name)
        case float() if not math.isfinite(value):
            raise _refused(f"{name}: {key!r} is not finite", "leave it out", name)
    return "number", value


def check_key(key: str, name: str) -> None:
    """Raise INVALID_REQUEST for a key with a NUL."""
    if "\0" in key:
        raise _refused(f"{name}: {key!r} has a NUL in it", "take it out", name)


def matching(collection: int, wanted: Filter) -> tuple[str, list[Parameter]]:
    """Return a SELECT of the rows that a filter lets through. Raises INVALID_REQUEST, naming the operator."""
    clauses: list[str] = []
    parameters: list[Parameter] = []
    for key, condition in wanted.items():
        check_key(key, "filter")
        tests: Operators = condition if isinstance(condition, dict) else {"$eq": condition}
        if not tests:
            raise _refused(f"filter: {key!r} has no operator", f"use one of {', '.join(_OPERATORS)}", "filter")
        for operator, value in tests.items():
            clause, given = _clause(collection, key, operator, value)
            clauses.append(clause)
            parameters += given
    if len(clauses) > _MAX_CLAUSES:
        raise _refused(f"the filter has {len(clauses)} conditions of {_MAX_CLAUSES}", "ask for less", "filter")
    return " INTERSECT ".join(f"SELECT row FROM ({clause})" for clause in clauses), parameters


def _clause(collection: int, key: str, operator: str, value: Scalar | list[Scalar]) -> tuple[str, list[Parameter]]:
    if operator not in _OPERATORS:
        raise _refused(
            f"filter: {key!r} has the unknown operator {operator[:100]!r}",
            f"use one of {', '.join(_OPERATORS)}",
            "filter",
        )
    if isinstance(value, list):
        if operator != "$in":
            raise _refused(f"filter: {operator} of {key!r} takes a value", "use $in for a list", "filter")
        return _among(collection, key, value)
    match operator:
        case "$in":
            raise _refused(f"filter: $in of {key!r} takes a list", "use $eq for a value", "filter")
        case "$eq":
            return _equal(collection, key, value)
        case "$ne":
            return _other(collection, key, value)
    return _compared(collection, key, operator, value)


def _equal(collection: int, key: str, value: Scalar) -> tuple[str, list[Parameter]]:
    kind, parameter = typed(key, value, "filter")
    return f"{_FIELDS} AND type = ? AND value = ?", [collection, key, kind, parameter]


def _other(collection: int, key: str, value: Scalar) -> tuple[str, list[Parameter]]:
    """As in MongoDB: what has no such key is another value, too."""
    clause, parameters = _equal(collection, key, value)
    return f"SELECT row FROM vectors WHERE collection = ? EXCEPT {clause}", [collection, *parameters]


def _among(collection: int, key: str, values: list[Scalar]) -> tuple[str, list[Parameter]]:
    if len(values) > 10 * _MAX_CLAUSES:
        raise _refused(
            f"filter: $in of {key!r} has {len(values)} values of {10 * _MAX_CLAUSES}", "ask for less", "filter"
        )
    pairs = [typed(key, value, "filter") for value in values]
    wanted = ",".join(["(?,?)"] * len(pairs)) or "(NULL,NULL)"
    flat = [one for pair in pairs for one in pair]
    return f"{_FIELDS} AND (type, value) IN (VALUES {wanted})", [collection, key, *flat]


def _compared(collection: int, key: str, operator: str, value: Scalar) -> tuple[str, list[Parameter]]:
    kind, parameter = typed(key, value, "filter")
    if kind not in {"number", "string"}:
        raise _refused(f"filter: {operator} of {key!r} takes a number or a text", "use $eq or $ne", "filter")
    return f"{_FIELDS} AND type = ? AND value {_COMPARE[operator]} ?", [collection, key, kind, parameter]


_FIELDS = "SELECT row FROM fields WHERE collection = ? AND key = ?"


def _refused(message: str, hint: str, name: str) -> OcgError:
    return OcgError(Code.INVALID_REQUEST, message, hint, param=name)
