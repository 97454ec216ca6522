"""Providers by name: what each is asked with, by which key, and which servers are asked for their models."""

import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ocg import config
from ocg.agent.providers.base import Image, Model, Piece, PromptMessage, Provider, Reply, ToolSpec
from ocg.agent.providers.completions import request_body
from ocg.agent.providers.directory import Directory
from ocg.agent.providers.factory import build, choose
from ocg.agent.providers.local import LocalProvider
from ocg.agent.providers.openai import OpenAIProvider
from ocg.agent.providers.refusal import Settings
from ocg.agent.schema import MIGRATIONS
from ocg.agent.wishes import Wishes
from ocg.config import AgentSettings
from ocg.config.presets import CUSTOM, LOCAL, PRESETS, Choice, Dialect, Preset, Server, choices, find
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.messages import ToolUse
from tests import claude
from tests.provider import ScriptedProvider, fails, provider, says

HELLO = (PromptMessage("system", "Be brief."), PromptMessage("user", "hi", images=(Image("image/png", b"x"),)))
TIME = ToolSpec("time", "Tell the time.", {"type": "object"})
NAMED = [one for one in PRESETS if one.name not in {LOCAL, CUSTOM}]
by_name = pytest.mark.parametrize("preset", NAMED, ids=lambda one: one.name)


def _settings(**file: str) -> AgentSettings:
    return config.load(AgentSettings, file=file)


def _moved(preset: Preset, server: ScriptedProvider) -> Preset:
    """The preset, at a server of ours."""
    base_url = server.base_url.removesuffix("/v1") if preset.dialect is Dialect.ANTHROPIC else server.base_url
    return replace(preset, base_url=base_url)


async def _asked(choice: Choice, settings: AgentSettings, *tools: ToolSpec) -> list[Piece]:
    found = build(choice, settings)
    try:
        async with aclosing(found.reply(HELLO, tools, max_tokens=100)) as pieces:
            return [piece async for piece in pieces]
    finally:
        await found.close()


@by_name
def test_a_preset_has_all_it_needs(preset: Preset) -> None:
    assert preset.base_url.startswith("https://" if preset.server is Server.NONE else "http://127.0.0.1:")
    assert not preset.base_url.endswith("/")
    assert preset.context_tokens >= 4096
    assert preset.key in config.declared(), "a key is a setting"
    assert config.declared()[preset.key].secret
    assert bool(preset.model) == (preset.server is Server.NONE)


def test_names_are_there_once_and_every_key_goes_to_the_agent_alone() -> None:
    assert len({one.name for one in PRESETS}) == len(PRESETS)
    drop_in = (Path(__file__).parents[2] / "units/system/ocg-agent.service.d/20-keys.conf").read_text()
    assert {line.partition("=")[2] for line in drop_in.splitlines() if line.startswith("LoadCredential")} == {
        one.key for one in NAMED
    }


@by_name
async def test_each_preset_makes_a_request_that_its_provider_takes(preset: Preset) -> None:
    is_anthropic = preset.dialect is Dialect.ANTHROPIC
    script = claude.says("well") if is_anthropic else says("well")
    with provider(script) as server:
        server.facts = {"/v1/models": {"data": [{"id": "served"}]}, "/api/show": {}}
        choice = Choice(_moved(preset, server))
        *_, reply = await _asked(choice, _settings(**{preset.key: "sk-of-this-one"}), TIME)
        (body,), (path,), (headers,) = server.asked, server.paths, server.headers
    assert isinstance(reply, Reply)
    assert reply.text == "well"
    found = {name.lower(): value for name, value in headers.items()}
    if is_anthropic:
        assert (path, found["x-api-key"]) == ("/v1/messages", "sk-of-this-one")
        assert body["tools"][0]["input_schema"] == TIME.parameters
    else:
        assert (path, found["authorization"]) == ("/v1/chat/completions", "Bearer sk-of-this-one")
        assert body["tools"][0]["function"]["parameters"] == TIME.parameters
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["model"] == (preset.model or "served")
    assert body["max_tokens"] == (100 + 8192 if preset.thinks else 100)
    assert ("aW1n" in json.dumps(body) or "eA==" in json.dumps(body)) == preset.takes_images


async def test_without_its_key_a_provider_is_not_asked_and_the_error_names_the_setting() -> None:
    with pytest.raises(OcgError, match="OpenAI wants a key") as raised:
        await _asked(Choice(find("openai")), _settings())
    assert "OPENAI_API_KEY" in raised.value.hint


async def test_a_key_is_in_no_error_and_no_representation(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    settings = _settings(GROQ_API_KEY="sk-secret-1")
    failing = fails(401, {"error": {"message": "bad key sk-secret-1"}})
    with provider(failing) as server, pytest.raises(OcgError) as raised:
        await _asked(Choice(_moved(find("groq"), server)), settings)
    everything = f"{raised.value} {raised.value!r} {settings!r} {build(Choice(find('groq')), settings).__dict__!r}"
    assert "sk-secret-1" not in everything + caplog.text
    assert raised.value.message == "Groq: HTTP 401: bad key [key]"
    assert raised.value.hint == "set GROQ_API_KEY to a valid key"


def test_which_providers_are_used_is_what_the_settings_say() -> None:
    assert [type(one.provider) for one in choose(_settings()).links] == [LocalProvider]
    assert choose(_settings(OCG_BASE_URL="http://h:1/v1", OCG_MODEL="m")).name == "h:1"
    chain = choose(
        _settings(OCG_PROVIDER="anthropic, ollama:qwen3:8b custom", OCG_BASE_URL="https://u:pw@h/v1", OCG_MODEL="m")
    )
    assert [(one.provider.name, one.provider.model_name) for one in chain.links] == [
        ("Anthropic", "claude-sonnet-5-5"),
        ("Ollama", "qwen3:8b"),
        ("h", "m"),
    ]
    priced = choose(_settings(OCG_PROVIDER="groq xai", OCG_PRICE="3/15")).links
    assert [one.price.input for one in priced] == [3, 0], "another provider's price is not known"
    with pytest.raises(OcgError, match="OCG_BASE_URL is no"):
        choose(_settings(OCG_PROVIDER="custom"))


async def test_a_model_of_ones_own_has_the_context_that_the_settings_say() -> None:
    settings = _settings(OPENAI_API_KEY="k", OCG_CONTEXT_TOKENS="9000")
    own, default = (build(Choice(find("openai"), name), settings) for name in ("gpt-own", ""))
    assert ((await own.model()).context_tokens, (await default.model()).context_tokens) == (9000, 272_000)


def test_a_name_that_there_is_none_of_is_an_error_with_those_there_are() -> None:
    for text in ("opnai", "openai,,chatgpt:x", "openai openai"):
        with pytest.raises(OcgError, match=r"OCG_PROVIDER: expected") as raised:
            _settings(OCG_PROVIDER=text)
        assert raised.value.code is Code.CONFIG_INVALID
    assert [str(one) for one in choices("groq:a/b:c  xai")] == ["groq:a/b:c", "xai"]


@pytest.mark.parametrize(
    ("text", "wanted"), [("3/15", (3, 15, 3)), ("3/15/0.3", (3, 15, 0.3)), ("0/0", (0, 0, 0)), ("", (0, 0, 0))]
)
def test_a_price_is_two_numbers_or_three(text: str, wanted: tuple[float, float, float]) -> None:
    found = _settings(OCG_PRICE=text).price
    assert (found.input, found.output, found.cached) == wanted


@pytest.mark.parametrize(
    ("key", "text"),
    [("OCG_PRICE", "3"), ("OCG_PRICE", "3/x"), ("OCG_PRICE", "-1/2"), ("OCG_THINKING", "much"), ("OCG_THINKING", "-5")],
)
def test_a_price_or_thinking_that_is_none_is_an_error(key: str, text: str) -> None:
    with pytest.raises(OcgError, match=f"{key}: expected"):
        _settings(**{key: text})


@by_name
@pytest.mark.parametrize("thinking", ["", "off", "adaptive", "300", "5000"])
async def test_what_is_asked_for_thinking_is_said_of_the_model(preset: Preset, thinking: str) -> None:
    script = claude.says("well") if preset.dialect is Dialect.ANTHROPIC else says("well")
    with provider(script) as server:
        server.facts = {"/v1/models": {"data": [{"id": "served"}]}, "/api/show": {}}
        settings = _settings(**{preset.key: "sk-of-this-one", "OCG_THINKING": thinking})
        choice = Choice(_moved(preset, server))
        await _asked(choice, settings)
        found = build(choice, settings)
        try:
            model = await found.model()
        finally:
            await found.close()
        (body,) = server.asked
    asked = body.get("max_tokens") or body["max_completion_tokens"]
    assert asked == 100 + model.thinking_beside(100)
    assert thinking != "5000" or model.thinking_tokens == 5000


def _asking(server: ScriptedProvider, name: str, model: str = "") -> Provider:
    return build(Choice(_moved(find(name), server), model), _settings())


@pytest.mark.parametrize(
    ("name", "facts", "wanted"),
    [
        (
            "ollama",
            {
                "/v1/models": {"data": [{"id": "qwen3:8b"}, {"id": "other"}]},
                "/api/ps": {"models": [{"name": "qwen3:8b", "context_length": 65536}]},
                "/api/show": {"capabilities": ["completion", "tools", "vision"]},
            },
            Model("qwen3:8b", 65536, takes_images=True),
        ),
        (
            "ollama",
            {"/v1/models": {"data": [{"id": "tiny"}]}, "/api/ps": {"models": []}, "/api/show": {"capabilities": []}},
            Model("tiny", 4096, takes_tools=False),
        ),
        (
            "llama-server",
            {
                "/v1/models": {"data": [{"id": "m.gguf", "meta": {"n_ctx_train": 131072}}]},
                "/props": {"default_generation_settings": {"n_ctx": 16384}, "modalities": {"vision": True}},
            },
            Model("m.gguf", 16384, takes_images=True),
        ),
        ("vllm", {"/v1/models": {"data": [{"id": "Qwen/Q", "max_model_len": 40960}]}}, Model("Qwen/Q", 40960)),
        ("vllm", {}, Model("", 4096)),
        ("llama-server", {"/v1/models": b"<html>", "/props": [1]}, Model("", 4096)),
    ],
)
async def test_a_server_is_asked_for_its_model_and_its_context(
    name: str, facts: Mapping[str, Any], wanted: Model
) -> None:
    with provider(says("x")) as server:
        server.facts = dict(facts)
        found = _asking(server, name)
        try:
            assert await found.model() == wanted
            server.facts = {}
            assert await found.model() == wanted, "it is asked once a minute"
        finally:
            await found.close()


async def test_a_server_that_is_not_there_is_told_at_once(free_port: int) -> None:
    preset = replace(find("llama-server"), base_url=f"http://127.0.0.1:{free_port}/v1")
    found = build(Choice(preset), _settings())
    try:
        with pytest.raises(OcgError, match="llama-server cannot be reached: Connection refused") as raised:
            await found.model()
    finally:
        await found.close()
    assert raised.value.code is Code.UNAVAILABLE


async def test_reasoning_goes_back_to_who_gave_it_and_only_within_its_tool_loop() -> None:
    use = ToolUse(id="a", name="time", arguments="{}")
    opaque = '{"provider": "Groq", "field": "reasoning", "reasoning": "hm", "extras": [{"google": {"s": "x"}}]}'
    loop = (
        PromptMessage("user", "one"),
        PromptMessage("assistant", "", (use,), opaque=opaque),
        PromptMessage("tool", "noon", tool_call_id="a"),
    )
    sent = []
    for name, messages in (("groq", loop), ("xai", loop), ("groq", (*loop, PromptMessage("user", "two")))):
        with provider(says("x")) as server:
            preset = _moved(find(name), server)
            found = build(Choice(preset), _settings(**{preset.key: "k"}))
            async with aclosing(found.reply(messages, (), max_tokens=9)) as pieces:
                assert [piece async for piece in pieces]
            await found.close()
            sent.append(server.asked[0]["messages"][1])
    assert sent[0]["reasoning"] == "hm"
    assert sent[0]["tool_calls"][0]["extra_content"] == {"google": {"s": "x"}}
    for one in sent[1:]:
        assert "reasoning" not in one
        assert "extra_content" not in one["tool_calls"][0]


async def test_reasoning_that_came_in_tags_goes_back_in_tags() -> None:
    use = ToolUse(id="a", name="time", arguments="{}")
    opaque = '{"provider": "MiniMax", "field": "content", "reasoning": "hm"}'
    called = PromptMessage("assistant", "Let me see.", (use,), opaque=opaque)
    loop = [PromptMessage("user", "one"), called, PromptMessage("tool", "noon", tool_call_id="a")]
    sent = [
        request_body(Model("m", 9), loop, (), max_tokens=9, provider=name)["messages"][1]["content"]
        for name in ("MiniMax", "xAI", "")
    ]
    assert sent == ["<think>hm</think>\n\nLet me see.", "Let me see.", "Let me see."]


async def test_the_list_has_those_in_use_first_and_says_of_keys_only_whether(tmp_path: Path) -> None:
    settings = _settings(OCG_PROVIDER="groq:own,openai", GROQ_API_KEY="sk-secret", OCG_PID_DIR=str(tmp_path))
    database = await Database.open(tmp_path / "agent.db", MIGRATIONS)
    directory = await Directory.open(settings, Wishes(database))
    items = directory.list().providers
    await directory.provider.close()
    await database.close()
    assert [(one.name, one.model, one.place, one.key, one.state) for one in items[:3]] == [
        ("groq", "own", 1, "set", "closed"),
        ("openai", "gpt-5.5", 2, "missing", "closed"),
        ("local", "", 0, "none needed", ""),
    ]
    assert len(items) == len(PRESETS)
    assert "sk-secret" not in repr(items)


async def test_another_place_is_asked_and_a_password_in_it_is_in_no_error(free_port: int) -> None:
    urls = f"ollama=http://me:pa55word@127.0.0.1:{free_port}/v1/, anthropic=http://me:pa55word@127.0.0.1:{free_port}"
    settings = _settings(OCG_PROVIDER_URLS=urls, ANTHROPIC_API_KEY="k")
    for name in ("ollama", "anthropic"):
        with pytest.raises(OcgError, match="cannot be reached") as raised:
            await _asked(Choice(find(name)), settings)
        assert "pa55word" not in f"{raised.value} {raised.value!r} {settings!r}"
    assert raised.value.hint == "check OCG_PROVIDER_URLS"
    with provider(says("here")) as server:
        moved = _settings(OCG_PROVIDER_URLS=f"xai={server.base_url}/", XAI_API_KEY="k")
        *_, reply = await _asked(Choice(find("xai")), moved)
        assert isinstance(reply, Reply)
        assert (reply.text, server.paths) == ("here", ["/v1/chat/completions"])


@pytest.mark.parametrize("text", ["ollama", "ollama=box", "nobody=http://h", "local=http://h", "custom=http://h"])
def test_a_place_that_is_none_is_an_error_without_its_text(text: str) -> None:
    with pytest.raises(OcgError, match="OCG_PROVIDER_URLS: expected") as raised:
        _settings(OCG_PROVIDER_URLS=text)
    assert f"found {text}" not in str(raised.value)


async def test_a_reload_that_names_others_ends_a_users_wish_and_another_does_not(tmp_path: Path) -> None:
    settings = _settings(OCG_PROVIDER="groq:own", GROQ_API_KEY="k", OCG_PID_DIR=str(tmp_path))
    database = await Database.open(tmp_path / "agent.db", MIGRATIONS)
    wishes = Wishes(database)
    directory = await Directory.open(settings, wishes)
    await directory.use("local")
    await directory.apply(replace(settings, log_level="DEBUG"))
    assert (directory.list().providers[0].name, await wishes.model("groq:own")) == ("local", "local")
    await directory.apply(_settings(OCG_PROVIDER="groq:other", GROQ_API_KEY="k", OCG_PID_DIR=str(tmp_path)))
    assert (directory.list().providers[0].model, await wishes.model("groq:other")) == ("other", "")
    elsewhere = await Directory.open(_settings(OCG_PROVIDER="local", OCG_PID_DIR=str(tmp_path)), wishes)
    assert elsewhere.list().providers[0].name == "local"  # named while nothing ran
    await elsewhere.provider.close()
    await wishes.keep_model("no-such-one", "groq:own")
    again = await Directory.open(settings, wishes)
    assert again.list().providers[0].name == "groq"
    for one in (directory, again):
        await one.provider.close()
    await database.close()


async def test_no_more_is_asked_for_thinking_than_the_prompt_leaves() -> None:
    with provider(says("well")) as server:
        model = Model("m", 8000, thinking_tokens=50_000)
        found = OpenAIProvider("x", server.base_url, Settings(), model)
        async with aclosing(found.reply(HELLO, (), max_tokens=1000)) as pieces:
            assert [piece async for piece in pieces]
        await found.close()
    assert server.asked[0]["max_tokens"] == 8000 - 2000  # a quarter is the prompt's
