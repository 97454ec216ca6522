"""What models there are, where each comes from, and what its GGUF file must be."""

import difflib
from importlib.resources import files
from typing import Literal

import msgspec

from ocg.errors import Code, OcgError

EMBEDDING_DEFAULT = "minilm"
CHAT_DEFAULT = "smollm2-135m"
DEFAULTS = (EMBEDDING_DEFAULT, CHAT_DEFAULT)


class Wheel(msgspec.Struct, frozen=True, kw_only=True, tag="wheel"):
    """A member of a wheel on the user's own package index; `convert` says it is a zip of a PyTorch model."""

    requirement: str
    sha256: str
    size_bytes: int
    member: str
    convert: bool = False


class Url(msgspec.Struct, frozen=True, kw_only=True, tag="url"):
    """A GGUF file by HTTPS, at an address that names one revision, since the checksum is that revision's."""

    url: str


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """An entry; `size_bytes` and `sha256` are those of the GGUF file, `tools` whether it calls tools reliably."""

    name: str
    kind: Literal["embedding", "chat"]
    summary: str
    licence: str
    size_bytes: int
    sha256: str
    context: int
    source: Wheel | Url
    tools: bool = False


def load() -> tuple[Model, ...]:
    """Read the catalog."""
    return msgspec.json.decode(files(__package__).joinpath("catalog.json").read_bytes(), type=tuple[Model, ...])


def get(name: str) -> Model | None:
    """Find a model by name, if the catalog has it."""
    return next((model for model in load() if model.name == name), None)


def find(name: str) -> Model:
    """Find a model by name. Raises MODEL_UNKNOWN with the nearest name."""
    if found := get(name):
        return found
    near = difflib.get_close_matches(name, [model.name for model in load()], 1, 0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise OcgError(Code.MODEL_UNKNOWN, f"no model is called {name!r}", f"{hint}see `ocg models list`")
