"""Certificates for tests, made by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Made:
    """A certificate that signs itself, and its key."""

    certificate: Path
    key: Path

    @property
    def env(self) -> dict[str, str]:
        return {"OCG_TLS_CERT": str(self.certificate), "OCG_TLS_KEY": str(self.key)}


def make(folder: Path, name: str = "nas.lan", *, days: int = 365, password: str = "") -> Made:
    """Make one for a name and for 127.0.0.1; one of less than 0 days is out of date."""
    made = Made(folder / "cert.pem", folder / "key.pem")
    secret = ("-passout", f"pass:{password}") if password else ("-nodes",)
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *secret),
        *("-keyout", made.key, "-out", made.certificate, "-days", "1", "-subj", f"/CN={name}"),
        *("-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"),
    )
    if not password:  # `req` makes none that is out of date
        _openssl("x509", "-in", made.certificate, "-signkey", made.key, "-days", str(days), "-out", made.certificate)
    return made


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)
