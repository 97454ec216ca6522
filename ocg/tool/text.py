"""Files as text: what they begin with, how their lines end and what is no UTF-8 in them stays as it was."""

from dataclasses import dataclass
from typing import BinaryIO

from ocg.errors import Code, OcgError

BOM = b"\xef\xbb\xbf"
_LOOKED_AT = 8192
_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")


@dataclass(frozen=True, slots=True)
class Text:
    """A file's text, with lines that end in a line feed alone."""

    text: str
    has_bom: bool = False
    has_crlf: bool = False

    @classmethod
    def of(cls, path: str, data: bytes) -> "Text":
        """Read it. Raises INVALID_REQUEST where it is no text."""
        check_text(path, data[:_LOOKED_AT])
        text = data.removeprefix(BOM).decode("utf-8", "surrogateescape")
        # Only where all lines end like that: what is mixed is left mixed.
        has_crlf = 0 < text.count("\n") == text.count("\r\n")
        return cls(text.replace("\r\n", "\n") if has_crlf else text, data.startswith(BOM), has_crlf)

    def replaced(self, text: str) -> bytes:
        """Return the file's bytes with another text in it."""
        if self.has_crlf:
            text = text.replace("\r\n", "\n").replace("\n", "\r\n")
        return (BOM if self.has_bom else b"") + text.encode("utf-8", "surrogateescape")


def begins(path: str, stream: BinaryIO) -> None:
    """Check that a stream is of text, and pass over its byte order mark."""
    check_text(path, data := stream.read(_LOOKED_AT))
    stream.seek(len(BOM) if data.startswith(BOM) else 0)


def check_text(path: str, data: bytes) -> None:
    """Raise INVALID_REQUEST for the beginning of what is no text, saying what it is."""
    if data.startswith(_IMAGES) or (data[:4], data[8:12]) == (b"RIFF", b"WEBP"):
        raise OcgError(Code.INVALID_REQUEST, f"{path} is an image", "look at it with the tool image")
    if data.startswith(b"%PDF-"):
        raise OcgError(Code.INVALID_REQUEST, f"{path} is a PDF", "turn it into text with a program: pdftotext FILE -")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise OcgError(Code.INVALID_REQUEST, f"{path} is UTF-16", "convert it first: iconv -f UTF-16 -t UTF-8 FILE")
    if is_binary(data):
        raise OcgError(Code.INVALID_REQUEST, f"{path} is a binary file", "use a program that reads its format")


def is_binary(data: bytes) -> bool:
    """Whether it is no text, as git sees it."""
    return b"\0" in data[:_LOOKED_AT]
