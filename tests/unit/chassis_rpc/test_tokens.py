"""Service tokens and grants, by RFC 8725: what is not exactly right is refused."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harmonia_chassis.errors import PermissionDenied, Reason, Unauthenticated, Unavailable
from harmonia_chassis.identity import (
    SCOPES,
    Claims,
    Peer,
    Revocations,
    Token,
    TokenSigner,
    TokenSource,
    TokenVerifier,
    service_of,
)

DOMAIN = "harmonia.local"
COMPOSER = Peer("composer", "thumbprint-of-composer")
NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Keys:
    """The gateway's Jwks, counted."""

    def __init__(self, *signers: TokenSigner) -> None:
        self.signers = list(signers)
        self.reads = 0
        self.away = False

    async def __call__(self) -> str:
        self.reads += 1
        if self.away:
            raise Unavailable("the gateway is away", reason=Reason.UNREACHABLE)
        return json.dumps({"keys": [key for signer in self.signers for key in json.loads(signer.jwks_json())["keys"]]})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def signer(key: Ed25519PrivateKey, clock: Clock) -> TokenSigner:
    return TokenSigner(key, DOMAIN, clock=clock)


@pytest.fixture
def keys(signer: TokenSigner) -> Keys:
    return Keys(signer)


@pytest.fixture
def artifacts(keys: Keys, clock: Clock) -> TokenVerifier:
    return TokenVerifier("artifacts", DOMAIN, jwks=keys, clock=clock)


def claims(**changes: Any) -> dict[str, Any]:
    good = {
        "iss": f"spiffe://{DOMAIN}/svc/gateway",
        "sub": f"spiffe://{DOMAIN}/svc/composer",
        "aud": f"spiffe://{DOMAIN}/svc/artifacts",
        "iat": int(NOW),
        "nbf": int(NOW),
        "exp": int(NOW) + 600,
        "jti": "1",
        "scope": "store:read",
        "tenant": "mesh",
        "cnf": {"x5t#S256": COMPOSER.thumbprint},
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def by_hand(sign: Callable[[bytes], bytes], header: dict[str, Any], payload: dict[str, Any]) -> str:
    """A JWS that no library would help to make."""
    parts = [json.dumps(part).encode() for part in (header, payload)]
    body = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    return body + "." + base64.urlsafe_b64encode(sign(body.encode())).rstrip(b"=").decode()


def signed(key: Ed25519PrivateKey, kid: str, **changes: Any) -> str:
    return by_hand(key.sign, {"alg": "EdDSA", "typ": "hm-svc+jwt", "kid": kid}, claims(**changes))


async def test_a_good_token_names_the_service_and_its_scopes(signer: TokenSigner, artifacts: TokenVerifier) -> None:
    token = signer.service_token(COMPOSER, "artifacts")

    found = await artifacts.service_token(token.text, COMPOSER)

    assert (found.service, found.scopes, found.tenant) == ("composer", SCOPES["composer"], "mesh")
    assert token.expires == datetime.fromtimestamp(NOW + 600, UTC)


async def test_the_hand_made_token_of_this_file_is_good(
    key: Ed25519PrivateKey, signer: TokenSigner, artifacts: TokenVerifier
) -> None:
    assert (await artifacts.service_token(signed(key, signer.kid), COMPOSER)).service == "composer"


WRONG: dict[str, dict[str, Any]] = {
    "another audience": {"aud": f"spiffe://{DOMAIN}/svc/composer"},
    "several audiences": {"aud": [f"spiffe://{DOMAIN}/svc/artifacts", "x"]},
    "no audience": {"aud": None},
    "another issuer": {"iss": f"spiffe://{DOMAIN}/svc/composer"},
    "an issuer with more behind": {"iss": f"spiffe://{DOMAIN}/svc/gateway/x"},
    "no issuer": {"iss": None},
    "no expiry": {"exp": None},
    "no not-before": {"nbf": None},
    "no issue time": {"iat": None},
    "no id": {"jti": None},
    "an expiry that is text": {"exp": "never"},
    "an expiry that is true": {"exp": True},
    "an expiry beyond numbers": {"exp": float("inf")},
    "an expiry that is no number": {"exp": float("nan")},
    "not valid yet": {"nbf": int(NOW) + 31},
    "issued in the future": {"iat": int(NOW) + 31},
    "living too long": {"exp": int(NOW) + 901},
    "no subject": {"sub": None},
    "a subject of another mesh": {"sub": "spiffe://other.mesh/svc/composer"},
    "a subject that is no service": {"sub": f"spiffe://{DOMAIN}/svc/observer"},
    "no binding": {"cnf": None},
    "an empty binding": {"cnf": {}},
    "a binding that is a list": {"cnf": ["x5t#S256"]},
    "a binding to another certificate": {"cnf": {"x5t#S256": "another"}},
    "the certificate of another service": {"sub": f"spiffe://{DOMAIN}/svc/mastering"},
    "acting for somebody else": {"act": {"sub": f"spiffe://{DOMAIN}/svc/gateway"}},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
async def test_a_token_with_wrong_claims_is_refused(
    key: Ed25519PrivateKey, signer: TokenSigner, artifacts: TokenVerifier, changes: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await artifacts.service_token(signed(key, signer.kid, **changes), COMPOSER)

    assert refused.value.reason is Reason.TOKEN_INVALID


HEADERS: dict[str, dict[str, Any]] = {
    "of a user": {"typ": "JWT"},
    "of a grant": {"typ": "hm-grant+jwt"},
    "bringing its key": {"jwk": {"kty": "OKP"}},
    "naming a key set": {"jku": "https://evil.example/jwks"},
    "naming a certificate": {"x5u": "https://evil.example/x5u"},
    "with critical extensions": {"crit": ["exp"]},
    "without a type": {"typ": None},
    "without a key id": {"kid": None},
    "with a key id that is a list": {"kid": ["a"]},
    "with another curve": {"alg": "Ed448"},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
async def test_a_token_with_another_header_is_refused(
    key: Ed25519PrivateKey, signer: TokenSigner, artifacts: TokenVerifier, headers: dict[str, Any]
) -> None:
    head = {"alg": "EdDSA", "typ": "hm-svc+jwt", "kid": signer.kid} | headers
    text = by_hand(key.sign, {name: value for name, value in head.items() if value is not None}, claims())

    with pytest.raises(Unauthenticated, match="token"):
        await artifacts.service_token(text, COMPOSER)


async def test_no_algorithm_but_ed25519_is_accepted(
    key: Ed25519PrivateKey, signer: TokenSigner, artifacts: TokenVerifier
) -> None:
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    header = {"typ": "hm-svc+jwt", "kid": signer.kid}
    none = by_hand(lambda _body: b"", {"alg": "none", **header}, claims())
    hs256 = jwt.encode(claims(), public, algorithm="HS256", headers=header)
    es256 = jwt.encode(claims(), ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers=header)

    for text in (none, hs256, es256):
        with pytest.raises(Unauthenticated, match="kind"):
            await artifacts.service_token(text, COMPOSER)


async def test_a_forged_signature_is_refused(signer: TokenSigner, artifacts: TokenVerifier) -> None:
    with pytest.raises(Unauthenticated, match="ignature"):
        await artifacts.service_token(signed(Ed25519PrivateKey.generate(), signer.kid), COMPOSER)


@pytest.mark.parametrize("text", ["", "a.b.c", "....", "é.é.é", "e30.e30.e30", "W10.W10.W10", "x" * 8000])
async def test_what_is_no_token_is_refused(artifacts: TokenVerifier, text: str) -> None:
    with pytest.raises(Unauthenticated, match="token"):
        await artifacts.service_token(text, COMPOSER)


async def test_a_token_over_8_kib_is_not_even_read(
    key: Ed25519PrivateKey, signer: TokenSigner, artifacts: TokenVerifier, keys: Keys
) -> None:
    with pytest.raises(Unauthenticated, match="8192"):
        await artifacts.service_token(signed(key, signer.kid, pad="x" * 8192), COMPOSER)

    assert keys.reads == 0


async def test_a_token_is_good_until_30_s_after_it_expires_and_then_says_so(
    signer: TokenSigner, artifacts: TokenVerifier, clock: Clock
) -> None:
    text = signer.service_token(COMPOSER, "artifacts").text
    clock.now = NOW + 629
    await artifacts.service_token(text, COMPOSER)

    clock.now = NOW + 631
    with pytest.raises(Unauthenticated, match="expired") as refused:
        await artifacts.service_token(text, COMPOSER)
    assert refused.value.reason is Reason.TOKEN_EXPIRED


async def test_a_token_seen_before_is_still_bound_to_its_certificate(
    signer: TokenSigner, artifacts: TokenVerifier
) -> None:
    text = signer.service_token(COMPOSER, "artifacts").text
    await artifacts.service_token(text, COMPOSER)

    for thief in (Peer("composer", "another"), Peer("mastering", COMPOSER.thumbprint)):
        with pytest.raises(Unauthenticated, match="another certificate"):
            await artifacts.service_token(text, thief)


async def test_unknown_keys_cause_one_read_in_ten_seconds(
    key: Ed25519PrivateKey, signer: TokenSigner, artifacts: TokenVerifier, keys: Keys, clock: Clock
) -> None:
    await artifacts.service_token(signed(key, signer.kid), COMPOSER)
    for number in range(50):
        with pytest.raises(Unauthenticated, match="signing key"):
            await artifacts.service_token(signed(key, f"unknown-{number}"), COMPOSER)
    assert keys.reads == 1

    clock.now += 10.1
    with pytest.raises(Unauthenticated, match="signing key"):
        await artifacts.service_token(signed(key, "unknown"), COMPOSER)
    assert keys.reads == 2


async def test_calls_that_wait_for_the_keys_share_one_read(
    signer: TokenSigner, artifacts: TokenVerifier, keys: Keys
) -> None:
    texts = [signer.service_token(COMPOSER, "artifacts").text for _ in range(20)]

    await asyncio.gather(*(artifacts.service_token(text, COMPOSER) for text in texts))

    assert keys.reads == 1


async def test_while_no_key_is_known_the_answer_is_unavailable_and_a_second_later_tried_again(
    signer: TokenSigner, artifacts: TokenVerifier, keys: Keys, clock: Clock
) -> None:
    text = signer.service_token(COMPOSER, "artifacts").text
    keys.away = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            await artifacts.service_token(text, COMPOSER)
    assert keys.reads == 1

    keys.away = False
    clock.now += 1.1
    assert (await artifacts.service_token(text, COMPOSER)).service == "composer"
    assert keys.reads == 2


async def test_an_old_set_of_keys_serves_on_while_the_gateway_is_away(
    signer: TokenSigner, artifacts: TokenVerifier, keys: Keys, clock: Clock
) -> None:
    await artifacts.service_token(signer.service_token(COMPOSER, "artifacts").text, COMPOSER)
    keys.away = True
    clock.now += 301

    text = signer.service_token(COMPOSER, "artifacts").text

    assert (await artifacts.service_token(text, COMPOSER)).service == "composer"


async def test_a_rotation_by_the_book_refuses_no_token_and_ends_the_old_key(
    clock: Clock, keys: Keys, artifacts: TokenVerifier
) -> None:
    old_key, new_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    old = TokenSigner(old_key, DOMAIN, published=[new_key.public_key()], clock=clock)
    new = TokenSigner(new_key, DOMAIN, published=[old_key.public_key()], clock=clock)
    keys.signers = [TokenSigner(old_key, DOMAIN, clock=clock)]
    await artifacts.service_token(old.service_token(COMPOSER, "artifacts").text, COMPOSER)

    # The next key is published 330 s before it signs.
    keys.signers = [old]
    for _ in range(33):
        clock.now += 10
        await artifacts.service_token(old.service_token(COMPOSER, "artifacts").text, COMPOSER)
    last_of_old = old.service_token(COMPOSER, "artifacts").text
    keys.signers, reads = [new], keys.reads
    await artifacts.service_token(new.service_token(COMPOSER, "artifacts").text, COMPOSER)
    assert keys.reads == reads

    # The one before is kept 630 s after.
    clock.now += 620
    await artifacts.service_token(last_of_old, COMPOSER)
    keys.signers = [TokenSigner(new_key, DOMAIN, clock=clock)]
    clock.now += 301
    await artifacts.service_token(new.service_token(COMPOSER, "artifacts").text, COMPOSER)
    with pytest.raises(Unauthenticated, match="signing key"):
        await artifacts.service_token(old.service_token(COMPOSER, "artifacts").text, COMPOSER)


async def test_a_key_that_is_gone_takes_the_tokens_with_it_that_were_accepted(
    key: Ed25519PrivateKey, signer: TokenSigner, artifacts: TokenVerifier, keys: Keys, clock: Clock
) -> None:
    text = signed(key, signer.kid)
    await artifacts.service_token(text, COMPOSER)
    keys.signers = [TokenSigner(Ed25519PrivateKey.generate(), DOMAIN, clock=clock)]
    clock.now += 301

    with pytest.raises(Unauthenticated, match="signing key"):
        await artifacts.service_token(text, COMPOSER)


REVOCATIONS: dict[str, Callable[[Claims], Revocations]] = {
    "by id": lambda found: Revocations(jtis=frozenset({found.jti})),
    "by key": lambda found: Revocations(kids=frozenset({found.kid})),
    "by time of issue": lambda _found: Revocations(oldest=(("composer", NOW + 1),)),
}


@pytest.mark.parametrize("revoked", REVOCATIONS.values(), ids=REVOCATIONS)
async def test_a_revoked_token_is_refused_although_it_was_accepted(
    signer: TokenSigner, artifacts: TokenVerifier, revoked: Callable[[Claims], Revocations]
) -> None:
    text = signer.service_token(COMPOSER, "artifacts").text
    artifacts.revocations = revoked(await artifacts.service_token(text, COMPOSER))

    with pytest.raises(Unauthenticated, match="revoked"):
        await artifacts.service_token(text, COMPOSER)


async def test_a_revoked_key_takes_its_grants_with_it(signer: TokenSigner, artifacts: TokenVerifier) -> None:
    text = signer.grant(tenant="t", owner="o", subject="s", expires=datetime.fromtimestamp(NOW + 60, UTC))
    await artifacts.grant(text)
    artifacts.revocations = Revocations(kids=frozenset({signer.kid}))

    with pytest.raises(PermissionDenied, match="revoked"):
        await artifacts.grant(text)


async def test_no_token_is_signed_for_what_is_no_service(signer: TokenSigner) -> None:
    with pytest.raises(PermissionDenied, match="observer"):
        signer.service_token(COMPOSER, "observer")


async def test_a_grant_says_for_whom_and_ends_with_the_job(
    signer: TokenSigner, artifacts: TokenVerifier, clock: Clock
) -> None:
    ends = datetime.fromtimestamp(NOW + 3600, UTC)
    text = signer.grant(tenant="acme", owner="ann", subject="song-1", expires=ends)

    grant = await artifacts.grant(text)

    assert (grant.tenant, grant.owner, grant.subject, grant.expires) == ("acme", "ann", "song-1", ends)
    clock.now = NOW + 3631
    with pytest.raises(PermissionDenied, match="expired") as refused:
        await artifacts.grant(text)
    assert refused.value.reason is Reason.GRANT_REFUSED


async def test_a_service_token_is_no_grant_and_a_grant_no_service_token(
    signer: TokenSigner, artifacts: TokenVerifier
) -> None:
    token = signer.service_token(COMPOSER, "artifacts").text
    grant = signer.grant(tenant="t", owner="o", subject="s", expires=datetime.fromtimestamp(NOW + 60, UTC))

    with pytest.raises(PermissionDenied, match="kind"):
        await artifacts.grant(token)
    with pytest.raises(Unauthenticated, match="kind"):
        await artifacts.service_token(grant, COMPOSER)


async def test_a_token_source_exchanges_once_for_all_that_wait_and_anew_before_the_end(clock: Clock) -> None:
    exchanged: list[str] = []

    async def exchange(audience: str) -> Token:
        exchanged.append(audience)
        await asyncio.sleep(0)
        return Token(f"{audience}-{len(exchanged)}", datetime.fromtimestamp(clock.now + 600, UTC))

    source = TokenSource(exchange, clock=clock)

    assert set(await asyncio.gather(*(source.token("artifacts") for _ in range(20)))) == {"artifacts-1"}
    clock.now += 299
    assert await source.token("artifacts") == "artifacts-1"
    clock.now += 2
    assert await source.token("artifacts") == "artifacts-2"
    source.forget()
    assert await source.token("artifacts") == "artifacts-3"


async def test_a_token_that_cannot_be_renewed_is_used_until_it_ends(clock: Clock) -> None:
    away = False

    async def exchange(_audience: str) -> Token:
        if away:
            raise Unavailable("the gateway is away", reason=Reason.UNREACHABLE)
        return Token("first", datetime.fromtimestamp(clock.now + 600, UTC))

    source = TokenSource(exchange, clock=clock)
    await source.token("artifacts")
    away = True
    clock.now += 590
    assert await source.token("artifacts") == "first"

    clock.now += 11
    with pytest.raises(Unavailable, match="away"):
        await source.token("artifacts")


IDS = {
    "spiffe://harmonia.local/svc/composer": "composer",
    "spiffe://harmonia.local/svc/composer/": None,
    "spiffe://harmonia.local/svc/COMPOSER": None,
    "spiffe://harmonia.local/svc/": None,
    "spiffe://harmonia.local/svc/observer": None,
    "spiffe://harmonia.local.evil/svc/composer": None,
    "spiffe://harmonia/svc/composer": None,
    "composer": None,
    "": None,
}


@pytest.mark.parametrize(("spiffe", "service"), IDS.items())
def test_only_exact_spiffe_ids_of_this_mesh_name_a_service(spiffe: str, service: str | None) -> None:
    assert service_of(spiffe, DOMAIN) == service


def test_no_service_may_ask_more_than_its_table_says() -> None:
    assert {name: sorted(scopes) for name, scopes in SCOPES.items() if name != "gateway"} == {
        "lyricist": ["store:read", "store:write", "tokens:read"],
        "composer": ["models:fetch", "store:read", "store:write", "tokens:read"],
        "mastering": ["store:read", "store:write", "tokens:read"],
        "artifacts": ["tokens:read"],
    }
