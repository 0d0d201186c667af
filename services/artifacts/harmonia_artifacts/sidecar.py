"""The sidecar of an object: what its bytes do not say, as JSON beside them. PURE but for the log.

One that does not parse is as good as none: its object is absent until somebody puts it again.
"""

import json
from datetime import datetime
from typing import Any

import structlog

from harmonia_artifacts.store import Arrival, Artifact, Kept, Spool

_log = structlog.get_logger()


def merged(arrival: Arrival, spool: Spool, *, before: Artifact | None, now: datetime, version: str = "") -> Artifact:
    """The artifact after this Put: owners and classes add up, the age of this class starts again."""
    return Artifact(
        tenant=arrival.tenant,
        sha256=spool.sha256,
        size_bytes=spool.size_bytes,
        media_type=arrival.media_type,
        owners=(before.owners if before else frozenset()) | {arrival.owner},
        created=before.created if before else now,
        puts={**(before.puts if before else {}), arrival.kept: now},
        blocks=spool.digests.blocks,
        version=version,
    )


def sidecar(artifact: Artifact) -> bytes:
    fields: dict[str, Any] = {
        "owners": sorted(artifact.owners),
        # Class and refreshed are for readers that know no puts.
        "class": artifact.kept,
        "media_type": artifact.media_type,
        "size_bytes": artifact.size_bytes,
        "created": artifact.created.isoformat(),
        "refreshed": artifact.refreshed.isoformat(),
        "puts": {kept: when.isoformat() for kept, when in artifact.puts.items()},
    }
    if artifact.blocks:
        fields["blake3"] = artifact.blocks
    if artifact.version:
        fields["version"] = artifact.version
    if artifact.condemned:
        fields["condemned"] = artifact.condemned.isoformat()
    return json.dumps(fields).encode()


def artifact_from_sidecar(tenant: str, sha256: str, text: bytes) -> Artifact | None:
    """None for one that does not parse."""
    try:
        fields = json.loads(text)
        puts = fields.get("puts") or {fields["class"]: fields["refreshed"]}
        condemned = fields.get("condemned")
        return Artifact(
            tenant=tenant,
            sha256=sha256,
            size_bytes=fields["size_bytes"],
            media_type=fields["media_type"],
            owners=frozenset(fields["owners"]),
            created=datetime.fromisoformat(fields["created"]),
            puts={Kept(kept): datetime.fromisoformat(when) for kept, when in puts.items()},
            blocks=tuple(fields.get("blake3", ())),
            version=fields.get("version", ""),
            condemned=datetime.fromisoformat(condemned) if condemned else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        _log.error("sidecar does not parse", tenant=tenant, sha256=sha256)
        return None
