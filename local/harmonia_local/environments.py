"""What each service is told by its environment. Pure: reads no variable; none of the user's HARMONIA_* passes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harmonia_local.certificates import SERVICES
from harmonia_local.home import Home
from harmonia_local.ports import LOOPBACK

PREFIX = "HARMONIA_"
S3 = "HARMONIA_S3_ENDPOINT"  # a mesh that is told this keeps its objects there and not in the home
OTLP = "HARMONIA_OTLP_ENDPOINT"  # everybody's, the door for HTTP included
WORKERS = ("lyricist", "composer", "mastering")
SCRATCHES = ("composer", "artifacts")  # artifacts only where its objects are on S3

# Workers drain while gateway and artifacts still answer; mesh.STOP_ORDER adds a little to each and ends under 20 s.
DRAIN_GRACE_S: Mapping[str, float] = dict.fromkeys(WORKERS, 7.0) | dict.fromkeys(("gateway", "artifacts"), 4.0)

# A service refuses settings it does not know, so a caller's setting that only some have goes to those alone.
ONLY_FOR: Mapping[str, tuple[str, ...]] = {
    "HARMONIA_BOOTSTRAP_": ("gateway",),
    "HARMONIA_SWEEP_": ("gateway",),
    "HARMONIA_COLLECT_": ("gateway",),
    "HARMONIA_TENANT_": ("gateway",),
    "HARMONIA_COMMERCIAL_": ("gateway",),
    "HARMONIA_RATE_": ("gateway",),
    "HARMONIA_OIDC_": ("gateway",),
    "HARMONIA_TRUSTED_": ("gateway",),
    "HARMONIA_WEBHOOK_": ("gateway",),
    "HARMONIA_SHARE_": ("gateway",),
    "HARMONIA_STORE_": ("gateway",),
    "HARMONIA_SLOTS": ("mastering",),
    "HARMONIA_LLM": ("lyricist",),
    "HARMONIA_MODELS_": ("composer",),
    "HARMONIA_MUSICGEN_": ("composer",),
    "HARMONIA_HUB_": ("composer",),
    "HARMONIA_SOUNDFONTS": ("composer",),
    "HARMONIA_LINK_": ("artifacts",),
    "HARMONIA_STORAGE_": ("artifacts",),
    "HARMONIA_S3_": ("artifacts",),
    "HARMONIA_CORS_": ("rest",),
    "HARMONIA_HOSTS": ("rest",),
}


@dataclass(frozen=True, slots=True)
class Doors:
    """The ports of one service on 127.0.0.1."""

    grpc: int
    health: int
    metrics: int


@dataclass(frozen=True, slots=True)
class RestDoors:
    """The program that answers HTTP, and its ports on 127.0.0.1."""

    binary: Path
    http: int
    health: int
    metrics: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What all services of one mesh have in common."""

    home: Home
    nats_url: str
    trust_domain: str
    lease_s: float
    public_port: int
    doors: Mapping[str, Doors]
    rest: RestDoors | None = None


def service_environment(
    service: str, plan: Plan, *, inherited: Mapping[str, str], added: Mapping[str, str]
) -> dict[str, str]:
    set_here = {each: _settings(each, plan, on_s3=S3 in added) for each in SERVICES}
    ours = {PREFIX + name: value for name, value in set_here[service].items()}
    others = {PREFIX + name for each in SERVICES for name in set_here[each]} - set(ours)
    theirs = {name: value for name, value in added.items() if name not in others and _concerns(service, name)}
    return without_settings(inherited) | ours | theirs


def rest_environment(
    plan: Plan, rest: RestDoors, *, inherited: Mapping[str, str], added: Mapping[str, str]
) -> dict[str, str]:
    ours = {
        "LISTEN": address(rest.http),
        "HEALTH_LISTEN": address(rest.health),
        "METRICS_LISTEN": address(rest.metrics),
        "GATEWAY_PUBLIC_ADDRESS": address(plan.public_port),
        "TLS_CA": str(plan.home.pki / "ca.pem"),
        "SESSION_KEY": str(plan.home.session_key),
        "LINK_FILE": str(plan.home.rest_link),
        "LINK_TOKEN": str(plan.home.user_token),
        "DRAIN_GRACE_S": f"{DRAIN_GRACE_S['gateway']:g}",
        "READY_FILE": str(plan.home.ready_file("rest")),
    }
    theirs = {
        name: value
        for name, value in added.items()
        if any(services == ("rest",) and name.startswith(prefix) for prefix, services in ONLY_FOR.items())
        or name == OTLP
    }
    return without_settings(inherited) | {PREFIX + name: value for name, value in ours.items()} | theirs


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(PREFIX)}


def address(port: int) -> str:
    return f"{LOOPBACK}:{port}"


def _concerns(service: str, variable: str) -> bool:
    return all(service in services for prefix, services in ONLY_FOR.items() if variable.startswith(prefix))


def _settings(service: str, plan: Plan, *, on_s3: bool) -> dict[str, str]:
    doors = plan.doors[service]
    common = {
        "LISTEN": address(doors.grpc),
        "HEALTH_LISTEN": address(doors.health),
        "METRICS_LISTEN": address(doors.metrics),
        "NATS_URL": plan.nats_url,
        "TRUST_DOMAIN": plan.trust_domain,
        "TLS_CERT": str(plan.home.pki / f"{service}.pem"),
        "TLS_KEY": str(plan.home.pki / f"{service}.key.pem"),
        "TLS_CA": str(plan.home.pki / "ca.pem"),
        "LEASE_S": f"{plan.lease_s:g}",
        "DRAIN_GRACE_S": f"{DRAIN_GRACE_S[service]:g}",
        "READY_FILE": str(plan.home.ready_file(service)),
    }
    addresses = {f"{name.upper()}_ADDRESS": address(plan.doors[name].grpc) for name in SERVICES}
    return common | addresses | _own_settings(service, plan, on_s3=on_s3)


def _own_settings(service: str, plan: Plan, *, on_s3: bool) -> dict[str, str]:
    if service == "gateway":
        return {
            "PUBLIC_LISTEN": address(plan.public_port),
            "PUBLIC_TLS_CERT": str(plan.home.pki / "public.pem"),
            "PUBLIC_TLS_KEY": str(plan.home.pki / "public.key.pem"),
            "SIGNING_KEY": str(plan.home.signing_key),
            "BOOTSTRAP_KEYS": str(plan.home.bootstrap_keys),
            "STATE_DIR": str(plan.home.root / "gateway"),
            "SHARE_BASE": f"http://{address(plan.rest.http)}" if plan.rest else "",
            "TENANT_UNFINISHED": "200",
            "RATE_CREATES": "600",
            "RATE_READS": "6000",
            "RATE_STRANGERS": "300",
            "TRUSTED_PROXIES": "127.0.0.0/8",
        }
    if service == "artifacts" and not on_s3:
        return {"STATE_DIR": str(plan.home.root / "artifacts")}
    scratch = {"SCRATCH_DIR": str(plan.home.root / "cache" / "scratch")} if service in SCRATCHES else {}
    models = {"MODELS_DIR": str(plan.home.root / "models")} if service == "composer" else {}
    return scratch | models
