"""The private CA of a home: what each certificate says, when it is made anew, who may read it."""

import hashlib
import json
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from harmonia_local.certificates import (
    LEAVES,
    SERVICES,
    bootstrap_keys,
    ensure_signing_key,
    ensure_token,
    issue_stale,
    open_authority,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
NAMES = [leaf.name for leaf in LEAVES]


def issue(pki: Path, now: datetime = NOW, *, keep_keys: bool = False) -> list[str]:
    return issue_stale(open_authority(pki, now), pki, trust_domain="harmonia.local", now=now, keep_keys=keep_keys)


def load(pki: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((pki / f"{name}.pem").read_bytes())


def alternative_names(certificate: x509.Certificate) -> list[str]:
    return [
        str(name.value) for name in certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ]


def uses(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def shake_hands(serving: ssl.SSLContext, calling: ssl.SSLContext, host: str) -> dict[str, Any]:
    """The client's certificate as the server has verified it."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = calling.wrap_bio(down, up, server_hostname=host)
    server = serving.wrap_bio(up, down, server_side=True)
    for _ in range(3):
        for side in (client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return dict(server.getpeercert() or {})


def test_the_first_start_issues_every_certificate_and_the_second_none(tmp_path: Path) -> None:
    assert issue(tmp_path) == NAMES
    assert issue(tmp_path, NOW + timedelta(hours=11)) == []


@pytest.mark.parametrize("server", [leaf.name for leaf in LEAVES if leaf.serves])
def test_openssl_accepts_server_and_client_under_its_strict_rules(tmp_path: Path, server: str) -> None:
    issue(tmp_path, datetime.now(UTC))
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
    calling = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(tmp_path / "ca.pem"))
    serving.load_cert_chain(tmp_path / f"{server}.pem", tmp_path / f"{server}.key.pem")
    calling.load_cert_chain(tmp_path / "composer.pem", tmp_path / "composer.key.pem")
    serving.verify_mode = ssl.CERT_REQUIRED
    for context in (serving, calling):
        context.verify_flags |= ssl.VERIFY_X509_STRICT

    assert shake_hands(serving, calling, "127.0.0.1")["subject"] == ((("commonName", "composer"),),)


@pytest.mark.parametrize("service", [*SERVICES, "nats", "observer"])
def test_an_internal_certificate_names_its_service(tmp_path: Path, service: str) -> None:
    issue(tmp_path)
    expected = [f"spiffe://harmonia.local/svc/{service}", f"{service}.harmonia", "localhost", "127.0.0.1"]

    assert alternative_names(load(tmp_path, service)) == expected


def test_the_public_certificate_carries_no_identity_and_only_serves(tmp_path: Path) -> None:
    issue(tmp_path)

    assert alternative_names(load(tmp_path, "public")) == ["localhost", "127.0.0.1"]
    assert uses(load(tmp_path, "public")) == {ExtendedKeyUsageOID.SERVER_AUTH}
    assert uses(load(tmp_path, "observer")) == {ExtendedKeyUsageOID.CLIENT_AUTH}


def test_a_leaf_lives_24_hours_and_the_ca_ten_years(tmp_path: Path) -> None:
    issue(tmp_path)

    assert load(tmp_path, "composer").not_valid_after_utc == NOW + timedelta(hours=24)
    assert load(tmp_path, "ca").not_valid_after_utc == NOW + timedelta(days=3650)
    assert load(tmp_path, "composer").not_valid_before_utc < NOW


def test_keys_are_on_p256(tmp_path: Path) -> None:
    issue(tmp_path)
    for name in ["ca", *NAMES]:
        key = load_pem_private_key((tmp_path / f"{name}.key.pem").read_bytes(), password=None)

        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.curve.name == "secp256r1"


def test_at_half_life_a_running_mesh_keeps_the_keys_and_a_starting_one_makes_new_ones(tmp_path: Path) -> None:
    issue(tmp_path)
    key_file, first = tmp_path / "composer.key.pem", (tmp_path / "composer.key.pem").read_bytes()

    assert issue(tmp_path, NOW + timedelta(hours=12), keep_keys=True) == NAMES
    assert key_file.read_bytes() == first
    assert load(tmp_path, "composer").not_valid_after_utc == NOW + timedelta(hours=36)
    assert issue(tmp_path, NOW + timedelta(hours=24), keep_keys=False) == NAMES
    assert key_file.read_bytes() != first


def test_a_certificate_from_the_future_is_replaced(tmp_path: Path) -> None:
    issue(tmp_path, NOW)

    assert issue(tmp_path, NOW - timedelta(hours=1)) == NAMES


def test_a_certificate_beside_a_foreign_key_is_replaced(tmp_path: Path) -> None:
    issue(tmp_path)
    (tmp_path / "composer.key.pem").write_bytes((tmp_path / "lyricist.key.pem").read_bytes())

    assert issue(tmp_path) == ["composer"]


def test_a_ca_that_ends_within_a_day_is_replaced_with_all_it_signed(tmp_path: Path) -> None:
    issue(tmp_path)
    later = NOW + timedelta(days=3650) - timedelta(hours=23)
    issue(tmp_path, later - timedelta(hours=2))

    assert issue(tmp_path, later) == NAMES
    assert load(tmp_path, "ca").not_valid_after_utc > later + timedelta(days=3000)


def test_every_file_is_for_its_owner_only(tmp_path: Path) -> None:
    issue(tmp_path)
    ensure_signing_key(tmp_path / "token-signing.key.pem")
    ensure_token(tmp_path / "user.token")

    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_the_signing_key_is_ed25519_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "token-signing.key.pem"
    ensure_signing_key(path)
    first = path.read_bytes()
    ensure_signing_key(path)

    assert path.read_bytes() == first
    assert isinstance(load_pem_private_key(first, password=None), ed25519.Ed25519PrivateKey)


def test_a_token_has_256_bits_and_stays(tmp_path: Path) -> None:
    token = ensure_token(tmp_path / "user.token")

    assert ensure_token(tmp_path / "user.token") == token
    assert ensure_token(tmp_path / "operator.token") != token
    assert len(token) * 6 // 8 == 32


def test_bootstrap_keys_hold_hashes_and_only_the_operator_is_admin() -> None:
    text = bootstrap_keys("user-token", "operator-token").decode()
    user, operator = json.loads(text)

    assert "user-token" not in text
    assert user["sha256"] == hashlib.sha256(b"user-token").hexdigest()
    assert (user["tenant"], user["owner"], user["operator"]) == ("local", "user", False)
    assert (operator["tenant"], operator["owner"], operator["operator"]) == ("local", "operator", True)
    assert set(operator["scopes"]) - set(user["scopes"]) == {"admin"}
