"""`${NAME}` and `${NAME:-else}` in mcp.json, so that a secret need not stand in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ocg.config import envfile

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MAX_CREDENTIAL_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Known:
    """What they may stand for."""

    values: Mapping[str, str]
    credentials: Path | None = None

    @classmethod
    def find(cls, environ: Mapping[str, str], config_file: Path) -> Self:
        """Look into env.config, the environment, and what LoadCredential= brought. Raises CONFIG_INVALID."""
        folder = environ.get("CREDENTIALS_DIRECTORY")
        return cls(envfile.read(config_file) | dict(environ), Path(folder) if folder else None)

    def put_into(self, given: Any) -> Any:
        """Replace them in every text. Raises ValueError for one that stands for nothing, or that is OCG's own."""
        match given:
            case str():
                return _VARIABLE.sub(self._value, given)
            case dict():
                return {key: self.put_into(value) for key, value in given.items()}
            case list():
                return [self.put_into(one) for one in given]
            case _:
                return given

    def _value(self, found: re.Match[str]) -> str:
        name = found[1]
        if name.startswith("OCG_"):  # a line copied from somewhere must not hand OCG's own token to its server
            raise ValueError(f"${{{name}}} is OCG's own, which no server is given")
        value = self._credential(name) or self.values.get(name) or found[2]
        if value is None:
            raise ValueError(f"${{{name}}} stands for nothing: set {name} in env.config")
        return value

    def _credential(self, name: str) -> str:
        if self.credentials is None:
            return ""
        try:
            with (self.credentials / name).open("rb") as stream:
                return stream.read(_MAX_CREDENTIAL_BYTES).decode("utf-8").rstrip("\r\n")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"credential {name}: {error}") from None
