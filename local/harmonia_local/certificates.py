"""The private CA of one home, the certificates it gives to the mesh's processes, and the keys of the local people.

Every function takes the folder and the time; nothing here starts a process or opens a connection. A leaf lives 24
hours and is reissued at half its life. While a mesh runs a reissued leaf keeps its key, so that the certificate is the
only file which changes and no reader can meet it beside another key; a new key is made when a mesh starts with a stale
leaf.
"""

import hashlib
import ipaddress
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from harmonia_local.private_file import write_private

SERVICES = ("gateway", "lyricist", "composer", "mastering", "artifacts")
CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(hours=24)
CLOCK_SKEW = timedelta(minutes=10)

USER_SCOPES = (
    "songs:read",
    "songs:write",
    "lyrics:write",
    "audio:analyze",
    "audio:master",
    "artifacts:read",
    "artifacts:write",
    "keys:write",
)
OPERATOR_SCOPES = (*USER_SCOPES, "admin")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One certificate to be: `name` is its file, its SPIFFE id and its DNS name."""

    name: str
    serves: bool = True
    calls: bool = True
    internal: bool = True  # an internal one carries a SPIFFE id; the public door's does not

    def alternative_names(self, trust_domain: str) -> list[x509.GeneralName]:
        local: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        if not self.internal:
            return local
        spiffe_id = x509.UniformResourceIdentifier(f"spiffe://{trust_domain}/svc/{self.name}")
        return [spiffe_id, x509.DNSName(f"{self.name}.harmonia"), *local]

    def uses(self) -> x509.ExtendedKeyUsage:
        server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
        return x509.ExtendedKeyUsage([use for use, wanted in ((server, self.serves), (client, self.calls)) if wanted])


LEAVES = (
    *(Leaf(service) for service in SERVICES),
    Leaf("nats", calls=False),
    Leaf("observer", serves=False),
    Leaf("public", calls=False, internal=False),
)


@dataclass(frozen=True, slots=True)
class Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def issue(self, leaf: Leaf, key: ec.EllipticCurvePrivateKey, *, trust_domain: str, now: datetime) -> bytes:
        """The PEM of a certificate valid from a little before `now` (other clocks) to 24 h after."""
        names = x509.SubjectAlternativeName(leaf.alternative_names(trust_domain))
        builder = _certificate(leaf.name, key.public_key(), now=now, life=LEAF_LIFE)
        builder = builder.issuer_name(self.certificate.subject).add_extension(names, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(leaf.uses(), critical=False)
        own_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(own_key, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def signed(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def open_authority(pki: Path, now: datetime) -> Authority:
    """The CA of this home; made when there is none, or when it would end before a leaf of today does."""
    found = _pair(pki, "ca")
    if found and found[0].not_valid_after_utc > now + LEAF_LIFE:
        return Authority(*found)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _certificate("Harmonia local CA", key.public_key(), now=now, life=CA_LIFE)
    builder = builder.issuer_name(_name("Harmonia local CA"))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    write_private(pki / "ca.key.pem", _key_pem(key))
    write_private(pki / "ca.pem", certificate.public_bytes(Encoding.PEM))
    return Authority(certificate, key)


def issue_stale(authority: Authority, pki: Path, *, trust_domain: str, now: datetime, keep_keys: bool) -> list[str]:
    """Writes `<name>.pem` and `<name>.key.pem` of every leaf missing or past half its life; returns the names."""
    issued = []
    for leaf in LEAVES:
        found = _pair(pki, leaf.name)
        if found and _is_fresh(found[0], leaf, authority, trust_domain=trust_domain, now=now):
            continue
        key = found[1] if found and keep_keys else ec.generate_private_key(ec.SECP256R1())
        certificate = authority.issue(leaf, key, trust_domain=trust_domain, now=now)
        if not found or key is not found[1]:
            write_private(pki / f"{leaf.name}.key.pem", _key_pem(key))
        write_private(pki / f"{leaf.name}.pem", certificate)
        issued.append(leaf.name)
    return issued


def ensure_signing_key(path: Path) -> None:
    """The Ed25519 key of the service tokens; it lives as long as the home."""
    if not path.exists():
        write_private(path, _key_pem(ed25519.Ed25519PrivateKey.generate()))


def ensure_token(path: Path) -> str:
    """An opaque 256-bit token, as long-lived as the home."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32).encode())
    return path.read_text().strip()


def bootstrap_keys(user_token: str, operator_token: str) -> bytes:
    """What the gateway stores of the two local people: hashes, never tokens."""
    people = (("user", user_token, USER_SCOPES, False), ("operator", operator_token, OPERATOR_SCOPES, True))
    return json.dumps(
        [
            {
                "name": name,
                "sha256": hashlib.sha256(token.encode()).hexdigest(),
                "tenant": "local",
                "owner": name,
                "scopes": list(scopes),
                "operator": operator,
            }
            for name, token, scopes, operator in people
        ],
        indent=1,
    ).encode()


def _is_fresh(
    certificate: x509.Certificate, leaf: Leaf, authority: Authority, *, trust_domain: str, now: datetime
) -> bool:
    half_life = certificate.not_valid_after_utc - LEAF_LIFE / 2
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        certificate.not_valid_before_utc <= now < half_life
        and list(names) == leaf.alternative_names(trust_domain)
        and authority.signed(certificate)
    )


def _pair(pki: Path, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """None too when they are no pair: a crash between the two writes leaves that, and issuing heals it."""
    try:
        certificate = x509.load_pem_x509_certificate((pki / f"{name}.pem").read_bytes())
        key = load_pem_private_key((pki / f"{name}.key.pem").read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return certificate, key


def _certificate(
    name: str, key: ec.EllipticCurvePublicKey, *, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
