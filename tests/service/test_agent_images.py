"""Pictures, from the message to the model."""

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.provider import KEY, ScriptedProvider, echoes, provider
from tests.service.agent import agent

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n a very small one").decode()
CAT = {"media_type": "image/png", "data": PNG}


def _seeing(model: ScriptedProvider) -> dict[str, str]:
    """Settings for a model that sees."""
    return {"OCG_PROVIDER": "openai:gpt-5", "OCG_PROVIDER_URLS": f"openai={model.base_url}", "OPENAI_API_KEY": KEY}


def _pictures(message: dict[str, Any]) -> list[str]:
    content = message["content"]
    parts = content if isinstance(content, list) else []
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def test_a_model_that_sees_is_shown_them_later_and_after_a_kill_too(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(_answers) as model:
        with agent(tmp_path, env | _seeing(model)) as found:
            found.say("what is it?", session_id="s", images=[CAT, CAT])
            assert _pictures(model.asked[-1]["messages"][-1]) == [f"data:image/png;base64,{PNG}"] * 2
            found.kill()
        with agent(tmp_path, env | _seeing(model)) as found:
            found.say("and its name?", session_id="s")
            assert [len(_pictures(one)) for one in model.asked[-1]["messages"]] == [0, 2, 0, 0]
            kept = found.ask("GET", "/v1/sessions/s")[1]["messages"]
            assert [one["images"] for one in kept] == [2, 0, 0, 0]


def test_a_model_that_sees_nothing_is_told_that_there_was_one(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(echoes) as model, agent(tmp_path, env | model.env) as found:
        assert "an image that this model cannot see" in found.say("what is it?", images=[CAT])


def test_the_pictures_of_a_context_are_shown(tmp_path: Path, env: dict[str, str]) -> None:
    context = [{"role": "user", "content": "look", "images": [CAT]}, {"role": "assistant", "content": "a cat"}]
    with provider(_answers) as model, agent(tmp_path, env | _seeing(model)) as found:
        found.say("sure?", kind="api", context=context)
        assert [len(_pictures(one)) for one in model.asked[-1]["messages"]] == [0, 1, 0, 0]


@pytest.mark.parametrize(
    "images",
    [[CAT] * 9, [{"media_type": "image/svg+xml", "data": PNG}], [{"media_type": "image/png", "data": "%"}], [PNG]],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, env: dict[str, str], images: Any) -> None:
    with provider(echoes) as model, agent(tmp_path, env | model.env) as found:
        status, body = found.ask("POST", "/v1/turns", {"message": "what is it?", "images": images})
        assert (status, body["error"]["code"]) == (400, "invalid_request")
        assert not model.asked


def _answers(exchange: Any) -> None:
    exchange.begin()
    exchange.delta(content="a cat")
    exchange.end()
