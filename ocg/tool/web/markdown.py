"""A page of HTML as light Markdown: what is there to be read, and where its links lead."""

import re
from urllib.parse import urljoin

from lxml import etree

# Not to be read: programs, forms, and what goes round a page.
_UNREAD = frozenset(
    "script style template noscript svg math iframe object embed canvas audio video button select textarea input "
    "title nav footer aside dialog".split()
)
_BLOCKS = frozenset(
    "p div section article main header figure figcaption address details summary dl dt dd form fieldset "
    "center caption body html ul ol menu table thead tbody tfoot".split()
)
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])")
_LEAST_CHARS = 200
# Deeper lists and quotations are written flat: each level goes over all lines in it once more.
_MAX_NESTED = 8


def convert(html: str, url: str) -> tuple[str, str]:
    """Return a page's title and text. Lacks what cannot be seen there: it is meant for nobody, or for us."""
    root = etree.fromstring(html.encode(), etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True))
    if root is None:
        return "", ""
    base = root.find(".//base[@href]")
    writer = _Writer(urljoin(url, base.get("href")) if base is not None else url)
    title = root.findtext(".//title") or root.findtext(".//h1") or ""
    text = ""
    for place in (_middle(root), root):  # not its body: what libxml2 does not know stays in the head
        text = _tidy(writer.inside(place)) if place is not None else ""
        if len(text) >= _LEAST_CHARS:
            break
    return " ".join(title.split()), text


def _middle(root: etree._Element) -> etree._Element | None:
    """Find the one part that the page itself says is its own."""
    for path in (".//main", ".//*[@role='main']", ".//article"):
        found = root.findall(path)
        if len(found) == 1:
            return found[0]
    return None


class _Writer:
    """Writes elements out; libxml2 makes no tree deeper than 256, so they may contain each other."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._nested = 0

    def inside(self, element: etree._Element) -> str:
        """Write what an element holds."""
        parts, items = [_spaced(element.text)], 0
        for child in element:
            if child.tag == "li":
                items += 1
                parts.append(self._nest(child, f"{items}. " if element.tag == "ol" else "- ", "  "))
            else:
                parts.append(self._element(child))
            parts.append(_spaced(child.tail))
        return "".join(parts)

    def _nest(self, element: etree._Element, first: str, others: str) -> str:
        """Write what an element holds, with a sign before its first line and one before the others."""
        self._nested += 1
        bare = "" if _is_hidden(element) else self.inside(element).strip()
        self._nested -= 1
        if self._nested < _MAX_NESTED:
            bare = _tidy(bare).replace("\n", f"\n{others}")
        return f"\n{first}{bare}" if bare else ""

    def _element(self, element: etree._Element) -> str:
        name = element.tag
        if name in _UNREAD or _is_hidden(element):
            return ""
        match name:
            case "br":
                return "\n"
            case "hr":
                return "\n\n---\n\n"
            case "pre":
                return _block("```\n" + "".join(element.itertext()).strip("\n") + "\n```")
            case "img":
                return f"![{alt}]({self._link(element.get('src'))})" if (alt := _spaced(element.get("alt")).strip()) else ""
            case "tr":
                return self._row(element)
            case "blockquote":
                return "\n" + self._nest(element, "> ", "> ") + "\n\n"
        return self._around(name, element, self.inside(element))

    def _around(self, name: str, element: etree._Element, text: str) -> str:
        """Put the signs of Markdown round what an element holds."""
        bare = text.strip()
        match name:
            case _ if not bare:
                return " "
            case "h1" | "h2" | "h3" | "h4" | "h5" | "h6":
                return _block(f"{'#' * int(name[1])} {' '.join(bare.split())}")
            case "a" if link := self._link(element.get("href")):
                return _marked(text, f"[{' '.join(bare.split())}]({link})")
            case "b" | "strong":
                return _marked(text, f"**{bare}**")
            case "i" | "em":
                return _marked(text, f"*{bare}*")
            case "code":
                return _marked(text, f"`{bare}`")
            case _ if name in _BLOCKS:
                return _block(bare)
        return text

    def _row(self, row: etree._Element) -> str:
        cells = [" ".join(self.inside(cell).split()).replace("|", "\\|") for cell in row if cell.tag in {"td", "th"}]
        line = "\n| " + " | ".join(cells) + " |" if any(cells) else ""
        is_head = line and row.find("th") is not None and row.getprevious() is None
        return line + ("\n|" + "---|" * len(cells) if is_head else "")

    def _link(self, href: str | None) -> str:
        """Say where a link leads; nowhere when it stays on the page, or is none of the web."""
        try:
            found = urljoin(self._base, (href or "#").strip())
        except ValueError:
            return ""
        is_elsewhere = bool(href) and not (href or "").startswith("#")
        return re.sub(r"[\s<>()]", _quoted, found) if is_elsewhere and found.startswith(("http://", "https://")) else ""


def _quoted(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"


def _is_hidden(element: etree._Element) -> bool:
    is_said = element.get("hidden") is not None or element.get("aria-hidden") == "true"
    return is_said or bool(_INVISIBLE.search((element.get("style") or "").lower()))


def _spaced(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "")


def _block(text: str) -> str:
    return f"\n\n{text}\n\n"


def _marked(text: str, mark: str) -> str:
    """Keep the spaces round a text outside of its marks."""
    return f"{' ' if text[:1].isspace() else ''}{mark}{' ' if text[-1:].isspace() else ''}"


def _tidy(text: str) -> str:
    """Leave no spaces at the ends of lines, and one empty line where there are more."""
    lines = "\n".join(line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"\n\n (?=\S)", "\n\n", lines)).strip()
