"""How memories are found by word, and how two rankings become one."""

from hypothesis import given
from hypothesis import strategies as st

from ocg.agent.memory.ranking import Found, fuse
from ocg.agent.words import share, terms, words
from ocg.protocol.messages import Memory


def test_words_are_the_same_however_they_are_written() -> None:
    assert words("The CAFÉ's Berries, pandas & glass") == ["the", "cafe", "s", "berry", "panda", "glass"]
    assert words("用户喜欢喝green茶") == ["用", "户", "喜", "欢", "喝", "green", "茶"]
    assert words("한국어 ひらがな") == list("한국어ひらかな")


def test_a_query_asks_for_what_carries_meaning() -> None:
    assert terms("What is the name of my cat?") == ["name", "cat"]
    assert terms("我的猫叫什么名字") == ["猫 叫", "名 字", "猫", "叫", "名", "字"]
    assert terms("茶") == ["茶"]
    assert terms("who are you") == ["who", "are", "you"]
    assert terms("?!") == []
    assert len(terms(" ".join(f"word{n}" for n in range(99)))) == 48


def test_a_name_from_code_is_found_whole_and_by_its_parts_however_it_is_written() -> None:
    assert words("getUserNames") == ["get", "user", "name", "getusernames"]
    assert words("get_user_names()") == words("get-user-names") == words("getUserNames")
    assert words("HTTPServer v2.3") == ["http", "server", "httpserver", "v2", "3", "v23"]
    assert words("parse.") == ["parse"]
    assert "getusername" in terms("what does get_user_name do")


def test_the_share_counts_whole_terms() -> None:
    text = " ".join(words("用户的猫叫汤姆, catalog"))
    assert share(["猫 叫", "名 字"], text) == 0.5
    assert share(["cat"], text) == 0.0
    assert share([], text) == 0.0


@given(st.text())
def test_what_is_asked_as_it_was_kept_is_found_whole(text: str) -> None:
    wanted = terms(text)
    kept = " ".join(words(text))
    # A stop character between two others parts them in the query, so all that is asked is in the text.
    assert share(wanted, kept) == (1.0 if wanted else 0.0)


def test_being_in_both_rankings_beats_being_first_in_one() -> None:
    scores = fuse([dict.fromkeys("abc", 1.0), dict.fromkeys("db", 1.0)])
    assert max(scores, key=lambda one: scores[one]) == "b"
    assert fuse([{"a": 1.0}, {}]) == {"a": 1 / 61}
    assert fuse([]) == {}


@given(st.lists(st.lists(st.integers(0, 9).map(str), unique=True, max_size=8), max_size=3))
def test_fusing_loses_and_doubles_nothing(rankings: list[list[str]]) -> None:
    fused = fuse(dict.fromkeys(ranking, 1.0) for ranking in rankings)
    assert sorted(fused) == sorted({one for ranking in rankings for one in ranking})


def test_near_is_near_by_meaning_or_well_matched_by_word() -> None:
    memory = Memory(id="m", text="t", kind="fact", created_at=0.0)
    assert Found(memory, cosine=0.4, share=0.0).is_near(0.3)
    assert Found(memory, cosine=None, share=0.5).is_near(0.3)
    assert not Found(memory, cosine=0.2, share=0.4).is_near(0.3)
    assert not Found(memory, cosine=0.9, share=0.1).is_near(0.3, least_share=0.2)
    assert Found(memory, cosine=0.4, share=0.2).is_near(0.3, least_share=0.2)
    assert Found(memory, cosine=None, share=0.2).is_near(0.3, least_share=0.2)
