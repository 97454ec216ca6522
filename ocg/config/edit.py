"""One setting written into env.config, at once and for good; every other line, and each comment, stays as it is."""

import os
import re
import stat
from pathlib import Path

from ocg.config import envfile
from ocg.errors import Code, OcgError

_PLAIN = re.compile(r"[\w.:/,@+-]*\Z", re.ASCII)
_ESCAPED = re.compile(r'(["\\`$])')
_NEW_MODE = 0o640
_MAX_BYTES = 1 << 20
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def put(file: Path, key: str, value: str, *, group: int | None = None) -> None:
    """Give a key a value; the file is made where there is none, readable by its group, which may be given.

    Raises CONFIG_INVALID when the file is no env.config, FORBIDDEN when we may not write it.
    """
    try:
        where = _behind(file)  # a link stays one
        before, was = _read(where)
        newline = "\r\n" if "\r\n" in before else "\n"
        after = changed(before.replace("\r\n", "\n"), key, value, name=str(file))
        _replace(where, after.replace("\n", newline), was, group)
    except UnicodeDecodeError:
        raise OcgError(Code.CONFIG_INVALID, f"{file}: not UTF-8 text", "save the file as UTF-8") from None
    except PermissionError:
        raise OcgError(Code.FORBIDDEN, f"you may not write {file}", "use sudo") from None
    except OSError as error:
        raise OcgError(
            Code.CONFIG_INVALID, f"{file}: {error.strerror}", f"write {key}={value} into it yourself"
        ) from None


def _behind(file: Path) -> Path:
    """Return what a file is a link to. Raises UNSAFE_PATH for somebody else's link: it may lead anywhere."""
    if file.is_symlink() and file.lstat().st_uid not in {0, os.geteuid()}:
        raise _unsafe(file, "is somebody else's link")
    return Path(os.path.realpath(file))


def _read(file: Path) -> tuple[str, os.stat_result | None]:
    """Return a file's text, as it is, and what it is; nothing where there is none. Raises UNSAFE_PATH."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return "", None
    try:
        was = os.fstat(descriptor)
        if not stat.S_ISREG(was.st_mode) or was.st_size > _MAX_BYTES:
            raise _unsafe(file, "is no file, or larger than 1 MiB")
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(_MAX_BYTES).decode(), was
    finally:
        os.close(descriptor)


def _unsafe(file: Path, why: str) -> OcgError:
    return OcgError(Code.UNSAFE_PATH, f"{file} {why}", "name another with --config")


def changed(text: str, key: str, value: str, *, name: str) -> str:
    """Return the text with a key's last line, which is the one that counts, rewritten, or with a line at its end."""
    wanted = envfile.parse(text, name=name) | {key: value}
    quoted = '"' + _ESCAPED.sub(r"\\\1", value) + '"'
    line = f"{key}={value if _PLAIN.match(value) else quoted}"
    places = [(start, end) for found, start, end in envfile.places(text, name=name) if found == key]
    if places:
        start, end = places[-1]
        made = text[:start] + line + text[end:]
    else:
        made = text + ("" if not text or text.endswith("\n") else "\n") + line + "\n"
    if envfile.parse(made, name=name) != wanted:  # a comment that a backslash goes on with would swallow it
        raise OcgError(Code.CONFIG_INVALID, f"{name}: its end is an unfinished line", f"write {line} into it yourself")
    return made


def _replace(file: Path, text: str, was: os.stat_result | None, group: int | None) -> None:
    """Put a text in the file's place: whole on the disk before its name is, its owner and mode as they were."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)  # a crash left it
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(beside, _WRITE, 0o600)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(text.encode())
            _keep_owner(was, descriptor, group)
            stream.flush()
            os.fsync(descriptor)
        os.replace(beside, file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _keep_owner(was: os.stat_result | None, descriptor: int, group: int | None) -> None:
    if was is None:
        if group is not None:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, _NEW_MODE)
        return
    now = os.fstat(descriptor)
    if (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
        os.fchown(descriptor, was.st_uid, was.st_gid)
    os.fchmod(descriptor, was.st_mode & 0o7777)
