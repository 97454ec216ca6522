"""A certificate and its key: what is wrong with them is said at the start, what browsers will mind is in the log."""

import os
import ssl
from pathlib import Path

import pytest

from ocg import config
from ocg.errors import Code, OcgError
from ocg.gateway.certificate import Certificate, Files, files_of
from tests import certificates


def _settings(**values: str) -> config.GatewaySettings:
    return config.load(config.GatewaySettings, file=values)


def _files(folder: Path, *, days: int = 365, password: str = "") -> Files:
    folder.mkdir(exist_ok=True)
    made = certificates.make(folder, days=days, password=password)
    return Files(made.certificate, made.key)


def test_half_of_it_is_a_mistake_and_so_is_tls_on_a_unix_socket() -> None:
    assert files_of(_settings()) is None
    for given, missing in (("OCG_TLS_CERT", "OCG_TLS_KEY"), ("OCG_TLS_KEY", "OCG_TLS_CERT")):
        with pytest.raises(OcgError, match=f"{missing} is missing") as caught:
            files_of(_settings(**{given: "/x.pem"}))
        assert caught.value.code is Code.CONFIG_INVALID
    with pytest.raises(OcgError, match="no use on a Unix socket"):
        files_of(_settings(OCG_TLS_CERT="/x.pem", OCG_TLS_KEY="/y.pem", OCG_HOST="/run/x.sock"))


def test_files_that_do_not_do_are_named_with_the_reason(tmp_path: Path) -> None:
    good, other = _files(tmp_path / "good"), _files(tmp_path / "other")
    sealed = _files(tmp_path / "sealed", password="secret")
    text = tmp_path / "text"
    text.write_text("no PEM at all")
    for files, why in (
        (Files(tmp_path / "none", good.key), "OCG_TLS_CERT: .*none: No such file"),
        (Files(good.certificate, tmp_path), "OCG_TLS_KEY: .*: Is a directory"),
        (Files(good.certificate, other.key), "OCG_TLS_KEY: .* is not the key of"),
        (sealed, "OCG_TLS_KEY: .* wants a password"),
        (Files(text, good.key), "OpenSSL says: "),
    ):
        with pytest.raises(OcgError, match=why) as caught:
            Certificate(files)
        assert caught.value.code is Code.CONFIG_INVALID
        assert caught.value.hint


@pytest.mark.parametrize(("days", "said"), [(-1, "expired; browsers refuse it"), (5, "expires in 5.0 days"), (365, "")])
def test_one_that_is_or_soon_will_be_out_of_date_is_used_and_mentioned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, days: int, said: str
) -> None:
    Certificate(_files(tmp_path, days=days))
    assert said in caplog.text
    assert bool(caplog.text) == bool(said)


def _shown(certificate: Certificate) -> str:
    """Talk TLS to it, in memory, and return what it shows."""
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(there, back)
    server = certificate.context.wrap_bio(back, there, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return ssl.DER_cert_to_PEM_cert(client.getpeercert(binary_form=True) or b"").strip()


def test_a_reload_shows_the_new_one_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    files = _files(tmp_path)
    certificate = Certificate(files)
    assert _shown(certificate) == files.certificate.read_text().strip()
    renewed = _files(tmp_path)
    certificate.reload(renewed)
    assert _shown(certificate) == renewed.certificate.read_text().strip()
    shown = _shown(certificate)
    os.replace(_files(tmp_path / "other").key, files.key)
    with pytest.raises(OcgError, match="is not the key of"):
        certificate.reload(files)
    assert _shown(certificate) == shown


def test_what_is_older_than_tls_1_2_is_not_spoken(tmp_path: Path) -> None:
    assert Certificate(_files(tmp_path)).context.minimum_version == ssl.TLSVersion.TLSv1_2
