"""Licences by their SPDX names: what a distribution declares, whose copyright it is, and the texts."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageMetadata
from pathlib import Path

from license_expression import ExpressionError, get_spdx_licensing

COMMON_FOLDER = Path("/usr/share/common-licenses")
# What Debian has in COMMON_FOLDER, under the name it has there.
COMMON = {
    "Apache-2.0": "Apache-2.0",
    "CC0-1.0": "CC0-1.0",
    "GPL-3.0-or-later": "GPL-3",
    "LGPL-2.1-only": "LGPL-2.1",
    "LGPL-2.1-or-later": "LGPL-2.1",
    "MPL-2.0": "MPL-2.0",
}
# The other texts: in which file of the environment each is, from which words on, and up to which.
TEXTS = {
    "0BSD": ("numpy-*.dist-info/**/pythoncapi-compat/COPYING", "Permission to use", r"\Z"),
    "BSD-2-Clause": ("pygments-*.dist-info/**/LICENSE", "Redistribution and use", r"\Z"),
    "BSD-3-Clause": ("click-*.dist-info/**/LICENSE.txt", "Redistribution and use", r"\Z"),
    "BSD-3-Clause-Open-MPI": (
        "numpy-*.dist-info/licenses/LICENSE.txt",
        r"Redistribution and use(?=(?:(?!Name:)[\s\S])+Name: GCC)",
        "Name: GCC",
    ),
    "GCC-exception-3.1": ("numpy-*.dist-info/licenses/LICENSE.txt", "GCC RUNTIME LIBRARY EXCEPTION", "^----"),
    "ISC": ("pip/_vendor/resolvelib/LICENSE", "Permission to use", r"\Z"),
    "MIT": ("anyio-*.dist-info/**/LICENSE", "Permission is hereby", r"\Z"),
    "PSF-2.0": ("typing_extensions-*.dist-info/**/LICENSE", "A. HISTORY", r"\Z"),
    "Zlib": ("numpy-*.dist-info/**/libdivide/LICENSE.txt", "This software is provided", r"\Z"),
}
# Texts that no distribution has along; from the source of llama.cpp: vendor/miniaudio and vendor/sheredom.
TEXTS_FOLDER = Path(__file__).with_name("licence-texts")

# What the field License says where it is no SPDX expression, and the classifiers that leave no doubt.
_WORDS = {"Apache 2.0": "Apache-2.0"}
_CLASSIFIERS = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
# Distributions whose metadata says less than their licence file, which was read instead.
_EXCEPTIONS = {
    "cronsim": "BSD-3-Clause",  # «BSD License»; cronsim-2.8.dist-info/licenses/LICENSE
    "jinja2": "BSD-3-Clause",  # «BSD License»; jinja2-3.1.6.dist-info/licenses/LICENSE.txt
    "prompt-toolkit": "BSD-3-Clause",  # «BSD License»; prompt_toolkit-3.0.53.dist-info/licenses/LICENSE
}

_NOTICE = re.compile(r"[\s>*#/]*(Copyright\s+(?!notice|licen[cs]e|holder|law|owner|statement|.*(?:yyyy|<year>))\S.*)")
_QUOTED = re.compile(r'"(Copyright \(c\)[^"<]+)"')


class BillError(Exception):
    """Something is bundled that the bill cannot account for; the message names it."""


def expression(text: str, of: str) -> str:
    """Write an SPDX expression in its one right form. Raises BillError, naming `of`, where it is none."""
    try:
        return str(get_spdx_licensing().parse(text, validate=True, strict=True).render())
    except (ExpressionError, AttributeError) as error:
        raise BillError(f"{of}: the licence «{text}» is not known: {error}") from error


def declared(name: str, metadata: PackageMetadata) -> str:
    """Say under what licence a distribution is, by its metadata. Raises BillError where that leaves a doubt."""
    words = (metadata["License-Expression"] or metadata["License"] or "").strip()
    by_classifier = {_CLASSIFIERS[one] for one in metadata.get_all("Classifier", ()) if one in _CLASSIFIERS}
    found = _EXCEPTIONS.get(name) or _WORDS.get(words, words) or " AND ".join(sorted(by_classifier))
    if not found:
        raise BillError(f"{name}: its metadata names no licence; read its files and add it to {Path(__file__).name}")
    return expression(found, name)


def names(of: str) -> list[str]:
    """Take an expression apart: «MIT AND GPL-3.0-or-later WITH GCC-exception-3.1» has two names."""
    return re.split(r" (?:AND|OR) ", re.sub(r"[()]", "", of))


def notices(text: str) -> Iterator[str]:
    """Find the copyright notices in a licence file; what stands further in or after a comma continues a line."""
    lines = text.expandtabs().splitlines()
    for number, line in enumerate(lines):
        if match := _NOTICE.fullmatch(line):
            whole = [match[1]]
            for later in lines[number + 1 :]:
                if not later.strip() or not (_indent(later) > match.start(1) or whole[-1].rstrip().endswith(",")):
                    break
                whole.append(later)
            if not _is_of_the_text(lines[number + 1 : number + 6]):
                yield _tidy(" ".join(whole))
    for quoted in _QUOTED.findall(text):
        yield _tidy(quoted)


def holders(files: tuple[Path, ...], name: str, metadata: PackageMetadata | None = None) -> tuple[str, ...]:
    """Say whose copyright it is: what the licence files say, or else the metadata's authors."""
    found = dict.fromkeys(line for path in files for line in notices(path.read_text(encoding="utf-8")))
    author = metadata and (metadata["Author"] or metadata["Author-email"] or metadata["Maintainer-email"])
    return tuple(found) or (author or f"the authors of {name}",)


def text(name: str, site: Path) -> str:
    """Get the text of a licence or exception. Raises BillError where it is neither common nor in the environment."""
    if name in COMMON:
        return (COMMON_FOLDER / COMMON[name]).read_text(encoding="utf-8")
    if (own := TEXTS_FOLDER / f"{name}.txt").exists():
        return own.read_text(encoding="utf-8")
    pattern, first, last = TEXTS.get(name, ("", "", ""))
    for path in sorted(site.glob(pattern or "//")) if pattern else ():
        if match := re.search(f"(?m)[ ]*{first}[\\s\\S]*?(?={last})", path.read_text(encoding="utf-8")):
            return match[0].rstrip() + "\n"
    raise BillError(f"{name}: no text of this licence is known; add where it is to {Path(__file__).name}")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_of_the_text(following: list[str]) -> bool:
    """Tell the Free Software Foundation's notice on a licence's own text from one on the work."""
    return any("Everyone is permitted" in line for line in following)


def _tidy(line: str) -> str:
    return " ".join(re.sub(r"\[(.*?)\]\(.*?\)", r"\1", line).strip(" *").split())
