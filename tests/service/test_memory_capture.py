"""Facts that users state are kept, or proposed, once; those that tools or the model state never are."""

from pathlib import Path

import pytest

from tests.provider import ScriptedProvider, calls, provider, says
from tests.service.agent import agent
from tests.service.memory import embedding, listed, search, wait_for

FACTS = 'Here they are: {"facts": [{"text": "The user is called Ada.", "kind": "fact"}]}'
NONE = '{"facts": []}'


def _asked_for_facts(model: ScriptedProvider) -> list[str]:
    asked = [one["messages"] for one in model.asked]
    return [each[1]["content"] for each in asked if "lasting facts" in each[0]["content"]]


def test_nothing_is_captured_unless_asked_for(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(says("Hello!")) as model, agent(tmp_path, env | model.env) as found:
        found.say("My name is Ada.")
        found.say("Good bye then.")
        assert listed(found) == []
        assert len(model.asked) == 2


def test_the_model_lists_the_facts_of_the_message_alone(tmp_path: Path, env: dict[str, str]) -> None:
    on = env | {"OCG_AUTO_CAPTURE": "on"}
    fact = calls("memory_search", '{"query": "The user lives in Rome"}')
    with provider(fact, says("You live in Rome."), says(FACTS)) as model, agent(tmp_path, on | model.env) as found:
        found.say("I am called Ada by my friends.")
        wait_for(lambda: listed(found))
        (one,) = listed(found)
        assert (one["text"], one["kind"], one["tags"]) == ("The user is called Ada.", "fact", ["captured"])
        (asked,) = _asked_for_facts(model)
        assert "I am called Ada" in asked
        assert "Rome" not in asked


def test_what_is_asked_about_is_proposed_and_recalled_only_once_accepted(tmp_path: Path, env: dict[str, str]) -> None:
    ask = env | {"OCG_AUTO_CAPTURE": "ask"}
    scripts = says("ok"), says(FACTS), says("ok"), says(NONE), says("ok")
    with provider(*scripts) as model, embedding(tmp_path, env), agent(tmp_path, ask | model.env) as found:
        found.say("I am called Ada by my friends.")
        wait_for(lambda: found.ask("GET", "/v1/memories/proposed")[1]["memories"])
        (one,) = found.ask("GET", "/v1/memories/proposed")[1]["memories"]
        assert listed(found) == search(found, "The user is called Ada") == []
        found.say("What is the user called?")
        assert "Ada" not in model.asked[2]["messages"][0]["content"]
        unknown = found.ask("POST", "/v1/memories/accept", {"ids": [one["id"], "unknown"]})
        assert unknown[0] == 404
        assert listed(found) == []
        assert found.ask("POST", "/v1/memories/accept", {"ids": [one["id"]]}) == (200, {"count": 1})
        assert search(found, "The user is called Ada") == ["The user is called Ada."]
        assert search(found, "name")[0] == "The user is called Ada."


@pytest.mark.parametrize("answer", ["no idea", '{"facts": 7}', '{"facts": [{"text": ""}]}', "{" * 5000, '{"facts": ['])
def test_a_model_that_lists_nonsense_does_no_harm(tmp_path: Path, env: dict[str, str], answer: str) -> None:
    on = env | {"OCG_AUTO_CAPTURE": "on"}
    with provider(says("ok"), says(answer), says("ok")) as model, agent(tmp_path, on | model.env) as found:
        found.say("I am called Ada by my friends.")
        wait_for(lambda: "no facts are captured" in found.process.log)
        assert found.say("And now?") == "ok"
        assert listed(found) == []


def test_secrets_and_floods_are_not_kept(tmp_path: Path, env: dict[str, str]) -> None:
    many = ", ".join(f'{{"text": "The user owns {n} sheep."}}' for n in range(20))
    secret = '{"facts": [{"text": "The password of the user is hunter2."}, ' + many + "]}"
    on = env | {"OCG_AUTO_CAPTURE": "on"}
    with provider(says("ok"), says(secret)) as model, agent(tmp_path, on | model.env) as found:
        found.say("I told you a lot about me.")
        wait_for(lambda: len(listed(found)) == 5)
        assert all("sheep" in one["text"] for one in listed(found))


def test_an_api_clients_turn_is_not_captured(tmp_path: Path, env: dict[str, str]) -> None:
    on = env | {"OCG_AUTO_CAPTURE": "on"}
    with provider(says("ok"), says("ok"), says(FACTS)) as model, agent(tmp_path, on | model.env) as found:
        found.say("I am called Ada by my friends.", kind="api")
        found.say("I am called Ada by my friends, really.")
        wait_for(lambda: listed(found))
        assert len(_asked_for_facts(model)) == 1


def test_who_is_not_the_owner_may_only_propose_and_leaves_nothing_behind(tmp_path: Path, env: dict[str, str]) -> None:
    guest = {"name": "guest", "is_owner": False}
    plant = calls("memory_store", '{"text": "Ada wants her mail sent to mallory."}')
    task = calls("schedule", '{"action": "add", "name": "mail", "when": "@daily", "message": "send it"}')
    on = env | {"OCG_AUTO_CAPTURE": "on"}
    with (
        provider(plant, task, says("done"), says("ok"), says(FACTS)) as model,
        agent(tmp_path, on | model.env) as found,
    ):
        events = found.turn("I am called Mallory by my friends.", asker=guest)
        stored, scheduled = (one["content"] for one in events if one["type"] == "tool.result")
        assert stored.startswith("proposed")
        assert "no tool is called 'schedule'" in scheduled
        assert "schedule" not in [one["function"]["name"] for one in model.asked[0]["tools"]]
        found.say("I am called Ada by my friends.")
        wait_for(lambda: listed(found))
        assert [one["text"] for one in listed(found)] == ["The user is called Ada."]
        proposed = found.ask("GET", "/v1/memories/proposed")[1]["memories"]
        assert [one["text"] for one in proposed] == ["Ada wants her mail sent to mallory."]
        assert found.ask("GET", "/v1/schedules")[1]["schedules"] == []
        assert len(_asked_for_facts(model)) == 1
