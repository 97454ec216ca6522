"""How well memories are found: words and meaning together find more than either, in English and in Chinese."""

from pathlib import Path

import pytest

from bench import memory as bench
from bench import memory_set
from bench.memory_facts import UNRELATED
from ocg.agent.memory.ranking import Weights
from tests.service.memory import embedding


def test_the_set_is_what_its_script_writes() -> None:
    made = memory_set.make()
    assert "".join(memory_set.lines(made.memories)) == (bench.DATA / "memories.jsonl").read_text()
    assert "".join(memory_set.lines(made.questions)) == (bench.DATA / "questions.jsonl").read_text()
    memories, questions = bench.load("all")
    assert len(memories) >= 1000
    assert len(questions) >= 300
    assert {one.need for one in questions} == {"words", "meaning", "both", "newest"}
    known = {one.id for one in memories}
    assert all({*one.answers} <= known for one in questions)


@pytest.mark.timeout(300)
async def test_both_together_find_more_than_either(tmp_path: Path, env: dict[str, str]) -> None:
    memories, questions = bench.load("report")
    with embedding(tmp_path, env):
        async with bench.stack(tmp_path) as made:
            await bench.fill(made, memories)
            found = await bench.look(made, questions)
            needless = [await made.memories.recall(text, 3, min_score=0.3) for text, _ in UNRELATED]
    assert sum(map(len, needless)) / len(needless) < 1.2
    for language, least in (("en", 0.93), ("zh", 0.69)):
        asked = [one for one in found if one.question.language == language]
        words = bench.recall(asked, Weights(), meaning=False)
        meaning = bench.recall(asked, Weights(), words=False)
        both = bench.recall(asked, Weights())
        assert both >= max(words, meaning, least), (language, words, meaning, both)
    newest = [one for one in found if one.question.need == "newest"]
    assert bench.recall(newest, Weights()) == 1.0
