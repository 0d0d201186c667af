"""Lanes, the services that serve them, and what each service may therefore say to NATS.

Pure. One table, `SERVES`, is the source of the consumers, the NATS accounts and the permissions.
Every service but the gateway lives in an account of its own and imports exactly its lines: within one
account the server answers to any reply subject a client names, so a worker could purge the stream by
naming $JS.API.STREAM.PURGE as the reply of a harmless request.
"""

from dataclasses import dataclass

from harmonia.job.v1 import job_pb2
from harmonia_chassis.jobs import stage_of

JOBS = "HM_JOBS"
ENTITIES = "HM_ENTITIES"
PROGRESS = "HM_PROGRESS"
HEARTBEATS = "HM_WORKERS"
JOB_SUBJECTS = "hm.v1.job"
ENTITY_SUBJECTS = "hm.v1.entity"
PROGRESS_SUBJECTS = "hm.v1.progress"

# A song goes through these services in this order.
SERVES = {"lyricist": ("write",), "composer": ("compose-arranger", "compose-musicgen"), "mastering": ("master",)}
# The consumer that brings garbage collection the newest records of all jobs.
COLLECTOR = "gc"
# Under this name an account other than HM finds its part of the JetStream API: $JS.API itself is
# taken in every account by the system's own import.
IMPORTED_API = "HM.API"


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects a service may publish to and subscribe to, named as in account HM."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def batch_twin(lane: str) -> str:
    return f"{lane}-batch"


def with_twins(lanes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(twin for lane in lanes for twin in (lane, batch_twin(lane)))


def all_lanes() -> tuple[str, ...]:
    return tuple(lane for lanes in SERVES.values() for lane in with_twins(lanes))


def state_token(state: "job_pb2.Job.State.ValueType") -> str:
    return job_pb2.Job.State.Name(state).lower()


def subject(job: job_pb2.Job) -> str:
    return f"{JOB_SUBJECTS}.{job.tenant}.{job.id}.{state_token(job.state)}.{stage_of(job).lane}"


def subjects_of(tenant: str, job_id: str) -> str:
    return f"{JOB_SUBJECTS}.{tenant}.{job_id}.>"


def progress_subject(tenant: str, job_id: str) -> str:
    return f"{PROGRESS_SUBJECTS}.{tenant}.{job_id}"


def heartbeat_key(job: job_pb2.Job) -> str:
    return f"$KV.{HEARTBEATS}.{stage_of(job).lane}.{job.tenant}.{job.id}"


def cancelling_subject(lane: str) -> str:
    return f"{JOB_SUBJECTS}.*.*.cancelling.{lane}"


def queued_subject(lane: str) -> str:
    return f"{JOB_SUBJECTS}.*.*.queued.{lane}"


def inbox(service: str) -> str:
    return f"_INBOX_{service}"


def api_prefix(service: str) -> str:
    return "$JS.API" if service == "gateway" else IMPORTED_API


def permissions(service: str) -> Permissions:
    if service == "gateway":
        publish = (f"{JOB_SUBJECTS}.>", f"{ENTITY_SUBJECTS}.>", f"{PROGRESS_SUBJECTS}.>", "$JS.API.>", "$JS.FC.>")
        return Permissions(publish, (f"{inbox(service)}.>", f"{JOB_SUBJECTS}.>"))
    if service == "observer":
        return Permissions(("$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*"), (f"{inbox(service)}.>",))
    if service == "artifacts":
        reads = (f"$JS.API.CONSUMER.MSG.NEXT.{JOBS}.{COLLECTOR}", f"$JS.API.STREAM.INFO.{JOBS}")
        return Permissions(reads, (f"{inbox(service)}.>",))
    return _of_worker(service)


def _of_worker(service: str) -> Permissions:
    own = with_twins(SERVES[service])
    following = with_twins(_lanes_after(service))
    publish = [
        f"{JOB_SUBJECTS}.*.*.{state}.{lane}"
        for lane in own
        for state in ("running", "failed", "cancelled", "expired", "queued")
    ]
    publish += [queued_subject(lane) for lane in following] or [f"{JOB_SUBJECTS}.*.*.succeeded.{lane}" for lane in own]
    for lane in own:
        publish += [
            f"$JS.API.CONSUMER.MSG.NEXT.{JOBS}.{lane}",
            f"$JS.ACK.{JOBS}.{lane}.>",
            f"$KV.{HEARTBEATS}.{lane}.*.*",
        ]
    publish += [f"$JS.API.STREAM.MSG.GET.{name}" for name in (JOBS, f"KV_{HEARTBEATS}")]
    publish.append(f"{PROGRESS_SUBJECTS}.*.*")
    return Permissions(tuple(publish), (f"{inbox(service)}.>", *(cancelling_subject(lane) for lane in own)))


def _lanes_after(service: str) -> tuple[str, ...]:
    names = list(SERVES)
    following = names[names.index(service) + 1 :][:1]
    return tuple(lane for name in following for lane in SERVES[name])


def accounts(trust_domain: str) -> dict[str, object]:
    """The `accounts` block of the nats-server configuration; users are SPIFFE ids (verify_and_map)."""
    outsiders = (*SERVES, "artifacts", "observer")
    blocks: dict[str, object] = {name: _outside_account(name, trust_domain) for name in outsiders}
    gateway = permissions("gateway")
    blocks["HM"] = {
        "jetstream": "enabled",
        "users": [_user("gateway", trust_domain, gateway.publish, gateway.subscribe)],
        "exports": _exports(outsiders),
    }
    return blocks


def _outside_account(service: str, trust_domain: str) -> dict[str, object]:
    allowed = permissions(service)
    own_inbox, *streams = allowed.subscribe
    local = {name: name.replace("$JS.API", IMPORTED_API) for name in allowed.publish}
    imports: list[dict[str, object]] = [{"stream": {"account": "HM", "subject": name}} for name in streams]
    imports += [{"service": {"account": "HM", "subject": name}, "to": to} for name, to in local.items()]
    return {"users": [_user(service, trust_domain, tuple(local.values()), (own_inbox, *streams))], "imports": imports}


def _user(service: str, trust_domain: str, publish: tuple[str, ...], subscribe: tuple[str, ...]) -> dict[str, object]:
    allow = {"publish": {"allow": list(publish)}, "subscribe": {"allow": list(subscribe)}}
    return {"user": f"spiffe://{trust_domain}/svc/{service}", "permissions": allow}


def _exports(services: tuple[str, ...]) -> list[dict[str, object]]:
    importers: dict[tuple[str, str], list[str]] = {}
    for service in services:
        allowed = permissions(service)
        for name in allowed.publish:
            importers.setdefault(("service", name), []).append(service)
        for name in allowed.subscribe[1:]:
            importers.setdefault(("stream", name), []).append(service)
    return [_export(kind, name, users) for (kind, name), users in importers.items()]


def _export(kind: str, name: str, importers: list[str]) -> dict[str, object]:
    export: dict[str, object] = {kind: name, "accounts": importers}
    if "MSG.NEXT" in name:
        export["response_type"] = "stream"  # one pull, many messages
    return export
