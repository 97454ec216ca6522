"""Secrets by systemd's credentials, plain and encrypted, which win over env.config; and the token that OCG makes."""

from tests.systemd.box import Box
from tests.systemd.conftest import TOKEN, drop_in


def _status(box: Box, token: str) -> str:
    url = "http://127.0.0.1:55003/v1/models"
    return box.run("curl", "-s", "-o/dev/null", "-w%{http_code}", "-H", f"Authorization: Bearer {token}", url).stdout


def test_a_plain_credential_wins_over_the_file(box: Box) -> None:
    box.write("/etc/credstore/OCG_UI_TOKEN", "from-the-credstore\n", 0o600)
    box.run("ocg", "start")
    assert _status(box, "from-the-credstore") == "200"
    assert _status(box, TOKEN) == "401"
    environ = box.run("cat", f"/proc/{box.pid('ocg-gateway')}/environ").stdout
    assert "from-the-credstore" not in environ


def test_an_encrypted_credential_is_decrypted_by_systemd_alone(box: Box) -> None:
    box.run("mkdir", "-p", "/etc/credstore.encrypted")
    sealed = "/etc/credstore.encrypted/OCG_UI_TOKEN"
    box.run("systemd-creds", "encrypt", "--name=OCG_UI_TOKEN", "-", sealed, text="a-sealed-token")
    assert "a-sealed-token" not in box.run("cat", sealed).stdout
    for service in ("ocg-gateway", "ocg-embedding"):
        drop_in(box, f"{service}.service", f"LoadCredentialEncrypted=OCG_UI_TOKEN:{sealed}")
    box.run("ocg", "start")
    assert _status(box, "a-sealed-token") == "200"
    assert _status(box, TOKEN) == "401"


def test_a_credential_serves_where_the_file_has_none(box: Box) -> None:
    box.run("tee", "/etc/ocg/env.config", text="")
    box.write("/etc/credstore/OCG_UI_TOKEN", "the-only-one", 0o600)
    box.run("systemctl", "start", "ocg-gateway")
    assert _status(box, "the-only-one") == "200"


def test_a_token_that_nobody_set_is_made_and_read_by_the_group(box: Box) -> None:
    box.run("tee", "/etc/ocg/env.config", text="")
    box.run("useradd", "-m", "-G", "ocg", "member")
    try:
        assert "/#login=" in box.run("ocg", "start").stdout
        file = "/var/lib/ocg/token"
        assert box.run("stat", "-c%a %U %G", file).stdout.strip() == "640 ocg ocg"
        assert _status(box, box.run("cat", file, user="member").stdout.strip()) == "200"
        assert "/#login=" in box.run("ocg", "open", user="member").stdout
        modes = "stat -c%a /var/lib/ocg /var/lib/ocg/agent.db /var/lib/ocg/vectors.db /var/lib/ocg/models"
        assert box.run("bash", "-c", modes).stdout.split() == ["710", "600", "600", "700"]
        assert box.run("cat", "/etc/ocg/env.config").stdout == ""
    finally:
        box.run("userdel", "-r", "member", check=False)
