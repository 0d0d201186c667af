"""What is really there: records read from the stream by the observer, objects read from the store's folder.
Nothing here asks a service."""

import hashlib
from pathlib import Path

from harmonia_chassis.job_stream import JobStream, Stored
from harmonia_chassis.nats_connection import Connection, Credentials
from harmonia_local.mesh import find_mesh


async def observe(home: Path) -> JobStream:
    mesh = find_mesh(home)
    assert mesh, "a mesh must run to be observed"
    pki = home / "pki"
    connection = Connection("observer", Credentials(pki / "observer.pem", pki / "observer.key.pem", pki / "ca.pem"))
    await connection.open(mesh.nats.url)
    return JobStream(connection)


def is_whole(home: Path, tenant: str, sha256: str) -> bool:
    """The object is in the store's folder and its bytes have that digest."""
    path = home / "artifacts" / tenant / sha256[:2] / sha256
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except FileNotFoundError:
        return False


async def history(jobs: JobStream, tenant: str, job_id: str) -> list[Stored]:
    return await jobs.history(tenant, job_id)
