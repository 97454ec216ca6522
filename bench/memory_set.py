"""Writes bench/data/memories.jsonl and questions.jsonl: memories, and questions with the memories that answer them.

    .venv/bin/python -m bench.memory_set

The same seed writes the same bytes. `need` says what finds an answer: `words`, where the question has the memory's rare
words; `meaning`, where it has none of them; `both`, where a name leads to many memories and the meaning to one of them.
It was written before the ranking was tuned. Of the questions, one half (`tune`) is for tuning, the other for reporting.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from bench.memory_facts import CHINESE, ENGLISH, SUPERSEDED
from bench.memory_subjects import (
    ABOUT,
    ABOUT_ZH,
    LOGS,
    LOGS_ZH,
    MONTHS,
    NOUNS,
    PEOPLE,
    PEOPLE_ZH,
    RUNNING,
    RUNNING_ZH,
    SERVICES,
    SERVICES_ZH,
    STORES,
    TAILS,
    TOOLS,
    TOPICS,
    TOPICS_ZH,
    VALUES,
    VALUES_ZH,
    VERBS,
    Kind,
)

FOLDER = Path(__file__).parent / "data"
SEED = 20260


class Set:
    """Memories and questions as they are made."""

    def __init__(self) -> None:
        self.chance = random.Random(SEED)
        self.memories: list[dict[str, object]] = []
        self.questions: list[dict[str, object]] = []

    def fact(self, text: str, kind: str = "fact", days: int | None = None) -> str:
        """Add a memory and return its id."""
        one = f"m{len(self.memories):04}"
        age = self.chance.randint(1, 900) if days is None else days
        importance = self.chance.choice((0.3, 0.5, 0.5, 0.5, 0.7))
        self.memories.append({"id": one, "text": text, "kind": kind, "age_days": age, "importance": importance})
        return one

    def ask(self, text: str, language: str, need: str, answer: str) -> None:
        """Add a question."""
        self.questions.append({"text": text, "language": language, "need": need, "answers": [answer]})

    def about(
        self, subjects: tuple[str, ...], kinds: dict[str, Kind], values: dict[str, list[str]], language: str, asked: int
    ) -> None:
        """State each kind of fact on each subject; ask about some of them, by words and by both in turn."""
        made: list[tuple[Kind, str, str, str]] = []
        for at, subject in enumerate(subjects):
            for name, kind in kinds.items():
                value = values[name][at]
                state = self.chance.choice(kind.states)
                made.append((kind, subject, value, self.fact(state.format(s=subject, v=value))))
        for at, (kind, subject, value, answer) in enumerate(self.chance.sample(made, asked)):
            need = ("words", "both", "both")[at % 3]
            text = kind.words if need == "words" else kind.both
            self.ask(text.format(s=subject, v=value, other=other_style(value)), language, need, answer)


def other_style(name: str) -> str:
    """Write getUserName as get_user_name."""
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name)


def drawn(chance: random.Random, count: int, people: tuple[str, ...]) -> dict[str, list[str]]:
    """Draw what is different for every service."""
    names = [f"{verb}{noun}{tail}" for verb in VERBS for noun in NOUNS for tail in TAILS]
    return {
        "port": [str(one) for one in chance.sample(range(3000, 9999), count)],
        "function": chance.sample(names, count),
        "variable": [f"{noun.upper()}_{tail.upper()}_TRACE" for noun in NOUNS for tail in TAILS][:count],
        "error": [f"E{one}" for one in chance.sample(range(1000, 9999), count)],
        "database": [f"{chance.choice(STORES)} on db{one:02}" for one in chance.sample(range(1, 99), count)],
        "release": [
            f"{chance.choice(TOOLS)} at {one // 60}:{one % 60:02}" for one in chance.sample(range(1439), count)
        ],
        "owner": chance.sample(people, min(count, len(people))),
    }


def noise(made: Set) -> None:
    """Add what nobody asks about: what the same services were before, and what happened on some day."""
    for service in SERVICES:
        made.fact(
            f"Until {made.chance.choice(MONTHS)} the {service} service listened on port {made.chance.randint(3000, 9999)}.",
            days=950,
        )
        made.fact(
            f"The user would like to rewrite the {service} service in {made.chance.choice(('Rust', 'Go', 'Zig'))}.",
            "note",
        )
        made.fact(f"A test of the {service} service in staging took {made.chance.randint(2, 90)} minutes.", "note")
    for service in SERVICES_ZH:
        made.fact(f"{service}以前监听端口{made.chance.randint(3000, 9999)}，已经停用。", days=950)
        made.fact(f"用户想把{service}改写成{made.chance.choice(('Rust', 'Go'))}。", "note")
    for _ in range(150):
        day = f"{made.chance.choice(MONTHS)} {made.chance.randint(1, 28)}"
        made.fact(
            made.chance.choice(LOGS).format(day=day, a=made.chance.choice(PEOPLE), t=made.chance.choice(TOPICS)), "note"
        )
    for _ in range(120):
        day = f"{made.chance.randint(1, 12)}月{made.chance.randint(1, 28)}日"
        made.fact(
            made.chance.choice(LOGS_ZH).format(
                day=day, a=made.chance.choice(PEOPLE_ZH), t=made.chance.choice(TOPICS_ZH)
            ),
            "note",
        )


def make() -> Set:
    """Make all, shuffled."""
    made = Set()
    values = {name: text.split("|") for name, text in VALUES.items()} | {
        "phone": [str(4100 + 7 * one) for one in range(28)]
    }
    made.about(PEOPLE, ABOUT, values, "en", 75)
    made.about(SERVICES, RUNNING, drawn(made.chance, len(SERVICES), PEOPLE), "en", 60)
    values = {name: text.split("|") for name, text in VALUES_ZH.items()} | {
        "phone": [str(6200 + 9 * one) for one in range(20)]
    }
    made.about(PEOPLE_ZH, ABOUT_ZH, values, "zh", 60)
    made.about(SERVICES_ZH, RUNNING_ZH, drawn(made.chance, len(SERVICES_ZH), PEOPLE_ZH), "zh", 24)
    for facts, language in ((ENGLISH, "en"), (CHINESE, "zh")):
        for fact, question in facts:
            made.ask(question, language, "meaning", made.fact(fact, "preference"))
    for old, new, question, language in SUPERSEDED:
        made.fact(old, days=800)
        made.ask(question, language, "newest", made.fact(new, days=5))
    noise(made)
    made.chance.shuffle(made.memories)
    made.chance.shuffle(made.questions)
    for at, asked in enumerate(made.questions):
        asked["half"] = ("tune", "report")[at % 2]
    return made


def lines(rows: list[dict[str, object]]) -> Iterator[str]:
    """Write rows as JSON lines."""
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> None:
    """Write both files."""
    made = make()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "memories.jsonl").write_text("".join(lines(made.memories)))
    (FOLDER / "questions.jsonl").write_text("".join(lines(made.questions)))
    print(f"{len(made.memories)} memories, {len(made.questions)} questions")


if __name__ == "__main__":
    main()
