"""Where settings come from, kept so that they can be read again: a reload sees what the file says now."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from ocg.config import token
from ocg.config.envfile import read
from ocg.config.settings import UNITS, Common, declared, load
from ocg.errors import Code, OcgError

S = TypeVar("S", bound=Common)
_MAX_CREDENTIAL_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Sources:
    """The command line, the environment, the folder of credentials and the env.config of one process."""

    args: Mapping[str, str]
    environ: Mapping[str, str]
    credentials: Path | None
    file: Path
    is_required: bool

    @classmethod
    def find(cls, args: Mapping[str, str], environ: Mapping[str, str]) -> Self:
        """Look up which file is meant: the one that was named, systemd's ConfigurationDirectory=, or ./env.config.

        Raises CONFIG_INVALID; a file that was asked for by name must exist.
        """
        named = args.get("OCG_CONFIG") or environ.get("OCG_CONFIG")
        folder = Path(environ.get("CONFIGURATION_DIRECTORY", ""))
        file = Path(named) if named else folder / "env.config"
        texts = read(file, required=bool(named))
        # What systemd took from that very file (EnvironmentFile=) is not the environment's word: it would outlive a
        # change of the file.
        own = {key: value for key, value in environ.items() if texts.get(key) != value}
        if runtime := environ.get("RUNTIME_DIRECTORY"):
            own.setdefault("OCG_AGENT_SOCK", f"{runtime}/agent.sock")
        found = environ.get("CREDENTIALS_DIRECTORY")
        return cls(dict(args) | {"OCG_CONFIG": str(file)}, own, Path(found) if found else None, file, bool(named))

    def load(self, cls: type[S]) -> S:
        """Read all of them, now; where none gives a token, it is the one that OCG made, if that can be read.

        Raises CONFIG_INVALID.
        """
        found = load(
            cls,
            args=self.args,
            credentials=_credentials(self.credentials),
            environ=self.environ,
            file={key: value for key, value in self._read().items() if key not in self._decided},
        )
        return found if found.ui_token else replace(found, ui_token=token.read(found.data_dir))

    def ignored(self) -> frozenset[str]:
        """Read which keys of the file count for nothing, since a unit of systemd decides them."""
        return self._decided & self._read().keys()

    def _read(self) -> dict[str, str]:
        return read(self.file, required=self.is_required)

    @property
    def _decided(self) -> frozenset[str]:
        if "RUNTIME_DIRECTORY" not in self.environ:
            return frozenset()
        return frozenset(one.key for one in declared().values() if one.decided_by == UNITS)


def _credentials(folder: Path | None) -> dict[str, str]:
    """Read what LoadCredential= brought under the names of settings (systemd.exec(5)); a newline at the end is none."""
    if folder is None:
        return {}
    found = {}
    for key in declared():
        try:
            with (folder / key).open("rb") as stream:
                text = stream.read(_MAX_CREDENTIAL_BYTES).decode("utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise OcgError(Code.CONFIG_INVALID, f"credential {key}: {error}", "save it as UTF-8 text") from None
        found[key] = text.rstrip("\r\n")
    return found
