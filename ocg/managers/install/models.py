"""The default models, in the folder that the services read: copied from who has them already, else fetched."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from pwd import getpwnam

from ocg.errors import OcgError
from ocg.managers.install.files import Say
from ocg.models import catalog, store
from ocg.models.handover import workplace


def bring(folder: Path, sources: tuple[Path, ...], say: Say) -> None:
    """Bring each default model that is not there.

    A model is copied, not linked: as a hard link it would still be its user's to change. What is copied is checked
    against the catalog's checksum. Raises DOWNLOAD_FAILED, DISK_FULL or MODEL_DAMAGED.
    """
    with workplace(folder) as place:
        for name in catalog.DEFAULTS:
            path = store.path_in(folder, name)
            if store.state(folder, catalog.find(name)) is store.State.HERE:
                say(f"kept {store.find(folder, name)}")
            elif not _copied(folder, place, name, sources, say):
                say(f"fetching the model {name}")
                store.pull(place, name, _silence)
                say(f"fetched {path}")


def _copied(folder: Path, place: Path, name: str, sources: tuple[Path, ...], say: Say) -> bool:
    known = catalog.find(name)
    for source in sources:
        if source.resolve() == folder.resolve() or store.state(source, known) is not store.State.HERE:
            continue
        try:
            store.pull(place, str(store.path_in(source, name)), _silence)
        except OcgError as error:
            say(f"did not copy {store.path_in(source, name)}: {error.message}")
            continue
        say(f"copied {store.path_in(folder, name)} from {source}")
        return True
    return False


def sources(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where whoever calls us may have them: as we are told, at home, or at home of who called sudo."""
    homes = [Path(environ["OCG_DATA_DIR"])] if environ.get("OCG_DATA_DIR") else []
    homes.append(Path(environ.get("HOME") or "/root") / ".ocg")
    if user := environ.get("SUDO_USER"):
        with suppress(KeyError):
            homes.append(Path(getpwnam(user).pw_dir) / ".ocg")
    return tuple(home / "models" for home in homes)


def _silence(what: str, done_bytes: int, total_bytes: int, /) -> None:
    """Show nothing of the progress: each step says a line."""
