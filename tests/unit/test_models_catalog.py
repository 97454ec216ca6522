"""The catalog: every entry says where a model comes from and what its file must be."""

import re

import pytest

from ocg.errors import Code, OcgError
from ocg.models import catalog
from ocg.models.catalog import Model, Url, Wheel

_PERMISSIVE = {"Apache-2.0", "MIT"}


@pytest.mark.parametrize("model", catalog.load(), ids=lambda model: model.name)
def test_every_entry_names_a_permissive_licence_a_size_and_a_checksum(model: Model) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", model.name)
    assert model.licence in _PERMISSIVE
    assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
    assert model.size_bytes > 10_000_000
    assert model.context >= 512


@pytest.mark.parametrize("model", catalog.load(), ids=lambda model: model.name)
def test_every_source_is_one_fixed_version(model: Model) -> None:
    match model.source:
        case Wheel() as wheel:
            assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", wheel.requirement)
            assert re.fullmatch(r"[0-9a-f]{64}", wheel.sha256)
        case Url() as web:
            assert re.match(r"https://[a-z.]+/.+/resolve/[0-9a-f]{40}/.+\.gguf\Z", web.url)


def test_names_are_given_once() -> None:
    names = [model.name for model in catalog.load()]
    assert len(names) == len(set(names))


def test_there_is_a_default_of_each_kind_and_better_ones() -> None:
    better = [model for model in catalog.load() if model.name not in catalog.DEFAULTS]
    assert catalog.find(catalog.EMBEDDING_DEFAULT).kind == "embedding"
    assert catalog.find(catalog.CHAT_DEFAULT).kind == "chat"
    assert [model.kind for model in better].count("embedding") >= 1
    assert [model.kind for model in better].count("chat") >= 2


def test_only_models_that_are_good_enough_are_offered_tools() -> None:
    assert [model.name for model in catalog.load() if model.tools] == ["qwen2.5-1.5b", "qwen3-4b"]


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(OcgError, match="no model is called 'minilmm'") as caught:
        catalog.find("minilmm")
    assert caught.value.code is Code.MODEL_UNKNOWN
    assert "did you mean minilm?" in caught.value.hint
