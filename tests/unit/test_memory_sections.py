"""How a Markdown file becomes memories."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocg.agent.memory.sections import MAX_SECTIONS, Section, sections

FILE = """---
title: left out
---
About the user.

# Servers

- staging listens on 8080
- production
  listens on 443
1. first things

## Backups #

They run at night,
and take an hour.

---

```sh
# no heading

- no item
```
"""


def test_each_paragraph_and_item_stands_below_its_heading() -> None:
    assert sections(FILE) == [
        Section("", "About the user."),
        Section("Servers", "Servers: staging listens on 8080"),
        Section("Servers", "Servers: production\n  listens on 443"),
        Section("Servers", "Servers: first things"),
        Section("Backups", "Backups: They run at night,\nand take an hour."),
        Section("Backups", "Backups: ```sh\n# no heading\n\n- no item\n```"),
    ]


def test_what_is_long_is_cut_where_a_sentence_ends_and_what_is_too_much_is_left() -> None:
    long = sections(" ".join(f"This is sentence {n} of many." for n in range(300)))
    assert len(long) > 2
    assert all(len(one.text) <= 2000 and one.text.endswith(".") for one in long)
    assert len(sections("\n\n".join(str(n) for n in range(3000)))) == MAX_SECTIONS
    assert len(sections("same\n\nsame\n\n")) == 1


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text", ["#" * 1_000_000, "- " * 500_000, "```\n" * 200_000, " " * 1_000_000, "# " + "a " * 400_000]
)
def test_a_hostile_file_takes_no_time(text: str) -> None:
    sections(text)


@given(st.text(alphabet="# -*`~\nab。.1)"))
def test_no_letter_is_lost(text: str) -> None:
    kept = " ".join(f"{one.heading} {one.text}" for one in sections(text))
    headings = [line for line in text.splitlines() if line.startswith("#")]
    for line in text.splitlines():
        if line not in headings:
            assert all(letter in kept for letter in line if letter in "ab")
