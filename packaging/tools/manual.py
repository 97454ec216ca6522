"""Writes what a distribution expects a user to read: manual pages, completions for three shells, a sample env.config.

All of it comes from the parsers behind --help and from the settings' declarations: `manual.py OUT`, with
SOURCE_DATE_EPOCH in the environment.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import completions
import pages
import sample


def main() -> None:
    """Write all files below OUT."""
    out = Path(sys.argv[1])
    day = f"{datetime.fromtimestamp(int(os.environ['SOURCE_DATE_EPOCH']), UTC):%Y-%m-%d}"
    texts = {f"man/{page.file}": str(page) for page in pages.write(day)}
    texts |= {f"completions/{name}": text for name, text in completions.write().items()}
    texts["env.config"] = sample.write()
    for name, text in texts.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
