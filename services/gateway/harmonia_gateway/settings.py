"""What the gateway needs to know besides what every service does."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, Json, model_validator

from harmonia_chassis.settings import Address, Seconds, ServiceSettings


def _networks(text: object) -> object:
    if not isinstance(text, str):
        return text
    return tuple(ip_network(one.strip()) for one in text.split(",") if one.strip())


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]


class Settings(ServiceSettings):
    public_listen: Address = Field(default="127.0.0.1:0", description="gRPC door for users: server TLS, user tokens")
    public_tls_cert: Path = Field(description="certificate chain users see, PEM; reread when it changes")
    public_tls_key: Path = Field(description="its key, PEM")
    signing_key: Path = Field(
        description="Ed25519 key, PEM, that signs service tokens and grants; one for all replicas"
    )
    bootstrap_keys: Path | None = Field(
        default=None,
        description="JSON list of user keys to make known at the start: name, sha256, tenant, owner, scopes",
    )
    state_dir: Path = Field(description="folder of the projection; may be emptied while the gateway is down")
    store_bytes: int = Field(default=1 << 30, gt=0, description="most the job stream may hold")
    store_replicas: int = Field(default=1, ge=1, le=5, description="copies of each stream: 3 in production")
    sweep: Seconds = Field(default=timedelta(seconds=10), description="how often lost and expired songs are looked for")
    collect: Seconds = Field(default=timedelta(hours=1), description="how often files that no song needs are removed")
    tenant_unfinished: int = Field(
        default=20, ge=1, description="unfinished songs of a tenant; ten times as many in the background lanes"
    )
    commercial_tenants: Json[tuple[str, ...]] = Field(
        default=(), description="tenants that sell what they make: JSON list; refused weights that forbid it"
    )
    rate_creates: int = Field(default=60, ge=1, description="songs a tenant may create or retry a minute")
    rate_reads: int = Field(default=600, ge=1, description="other calls of a tenant a minute")
    rate_strangers: int = Field(
        default=30, ge=1, description="failures to sign in that an address may have a minute before it has to wait"
    )
    trusted_proxies: Networks = Field(
        default=(), description="CIDR ranges whose x-forwarded-for is believed, by commas: where rest runs"
    )
    oidc_issuer: str | None = Field(
        default=None,
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/]).+[^/]$",
        description="https address of an OpenID Connect issuer whose access tokens open the public door; absent: none",
    )
    oidc_audience: str | None = Field(default=None, min_length=1, description="what their aud must be, exactly")
    oidc_tenant_claim: str = Field(default="tenant", min_length=1, description="the claim that names the tenant")
    share_base: str = Field(
        default="",
        pattern=r"^$|^https?://[^/]+$",
        description="address of the HTTP door for people, as in https://music.example; absent: links are told as paths",
    )
    webhook_allow: Networks = Field(
        default=(), description="CIDR ranges that webhooks may call although they are not public, by commas"
    )
    webhook_ca: Path | None = Field(
        default=None, description="PEM; authorities that webhooks' receivers may have beside the system's"
    )

    @model_validator(mode="after")
    def _an_issuer_needs_an_audience(self) -> Self:
        if self.oidc_issuer is not None and self.oidc_audience is None:
            raise ValueError("HARMONIA_OIDC_ISSUER needs HARMONIA_OIDC_AUDIENCE")
        return self
