from __future__ import annotations

from pathlib import Path

import pytest

from scanner.errors import UsageProblem
from scanner.net import snmp


def test_a_community_or_a_user_of_the_environment() -> None:
    assert snmp.secret(None, {"LANVETO_SNMP_COMMUNITY": "sesame"}).community == "sesame"
    user = snmp.secret(None, {"LANVETO_SNMP_USER": "audit", "LANVETO_SNMP_AUTH_PASSWORD": "longenough", "LANVETO_SNMP_AUTH_PROTOCOL": "sha256"})
    assert (user.user, user.auth_protocol) == ("audit", "sha256")


def test_secrets_are_shown_nowhere() -> None:
    shown = repr(snmp.Secret(community="sesame", user="audit", auth_password="longenough", priv_password="longenough2"))

    assert "sesame" not in shown
    assert "longenough" not in shown


@pytest.mark.parametrize(("text", "name"), [("sesame\n", None), ('user = "audit"\nauth_password = "longenough"\n', "audit"), ('community = "x"', None)])
def test_files(tmp_path: Path, text: str, name: str | None) -> None:
    path = tmp_path / "secret"
    path.write_text(text)

    assert snmp.secret(path, {}).user == name


@pytest.mark.parametrize(("text", "why"), [
    ('colour = "red"', "unknown key"), ("user = 5", "quotes"), ('user = "a"\nauth_password = "short"', "8 characters"),
    ('user = "a"\npriv_password = "longenough"', "without auth_password"), ('user = "a"\nauth_protocol = "rot13"', "none of"), ("a b\n= c", "neither one line nor TOML"),
    ("", "never on the command line"),
])  # fmt: skip
def test_secrets_that_cannot_be(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text)

    with pytest.raises(UsageProblem, match=why):
        snmp.secret(path, {})


def test_without_a_secret_nobody_is_asked() -> None:
    with pytest.raises(UsageProblem, match="LANVETO_SNMP_COMMUNITY"):
        snmp.secret(None, {})
