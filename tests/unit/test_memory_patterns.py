"""Which sentences of a user's are lasting facts: few, and never a secret."""

import pytest

from ocg.agent.memory.patterns import Stated, is_secret, stated


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("My name is Ada Lovelace.", "fact"),
        ("I'm allergic to peanuts, so be careful.", "fact"),
        ("I live in Gdansk", "fact"),
        ("I work as a surgeon at St. Mary.", "fact"),
        ("my sister is called Ruth", "fact"),
        ("I have two cats.", "fact"),
        ("I prefer short answers.", "preference"),
        ("I can't stand coriander!", "preference"),
        ("My favourite colour is green", "preference"),
        ("We decided to use SQLite for the ledger.", "decision"),
        ("Please remember that my locker is number 12.", "fact"),
        ("我叫李雷。", "fact"),
        ("我对青霉素过敏", "fact"),
        ("我的生日是三月三日", "fact"),
        ("我女儿叫小雨", "fact"),
        ("我不喜欢香菜。", "preference"),
        ("请记住，我的工位在七楼", "fact"),
        ("我们决定用SQLite", "decision"),
    ],
)
def test_a_stated_fact_is_kept_as_it_was_said(message: str, kind: str) -> None:
    (found,) = stated(f"Hello! {message}\nWhat is the weather like?")
    said = message.strip()
    assert found in {Stated(f"The user said: {said}", kind), Stated(f"用户说：{said}", kind)}


@pytest.mark.parametrize(
    "message",
    [
        "Do I live in Gdansk?",
        "I live in Gdansk?",
        "If I live in Gdansk, do I need a visa",
        "I would like a coffee.",
        "I like this answer.",
        "I love it.",
        "I'd like to know more",
        "I have a question.",
        "She said: I live in Rome.",
        "> I live in Rome.",
        "```\nI live in Rome.\n```",
        "```\nI live in Rome.",
        "My name is on the list, isn't it?",
        "I prefer the first one, I think",
        "I am allergic to my password hunter2",
        "Remember that my PIN is 4711.",
        "Please remember that my token is sk-abcdefgh12345678",
        "我的密码是123456",
        "如果我住在北京怎么办",
        "我喜欢这个",
        "我住在北京吗",
        "I live in " + "very " * 100 + "Rome.",
        "",
    ],
)
def test_what_is_asked_supposed_quoted_passing_or_secret_is_left(message: str) -> None:
    assert not list(stated(message))


@pytest.mark.parametrize("text", ["card 4111 1111 1111 1111", "key AKIAABCDEFGH1234", "a" * 40])
def test_what_may_be_a_secret_is_known_as_one(text: str) -> None:
    assert is_secret(text)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text", ["I have " * 200_000, "```\n" * 200_000, "." * 1_000_000, "我" * 1_000_000, "- " * 500_000]
)
def test_a_hostile_message_takes_no_time(text: str) -> None:
    list(stated(text))
