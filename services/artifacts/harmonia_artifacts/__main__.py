"""Artifacts as a process: bytes by digest, on files or on S3."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

from harmonia.model.v1 import model_pb2_grpc
from harmonia_artifacts.files import FileStore
from harmonia_artifacts.framing import add_to_server
from harmonia_artifacts.garbage import GRACE, Reach
from harmonia_artifacts.records import read_reach
from harmonia_artifacts.servicer import StoreServicer
from harmonia_artifacts.settings import Settings
from harmonia_artifacts.shelf import ShelfServicer
from harmonia_artifacts.store import Store
from harmonia_chassis.errors import Reason, Unavailable
from harmonia_chassis.node import Node, run_service
from harmonia_chassis.testing import Failpoint, never

# Collection alone needs NATS; everything else goes on without it.
_NATS_S = 10.0


async def start(node: Node[Settings], *, failpoint: Failpoint = never, grace: timedelta = GRACE) -> None:
    store = await asyncio.to_thread(open_store, node.settings)
    servicer = StoreServicer(
        store,
        partial(_read_reach, node),
        now=_now,
        most_bytes=node.settings.storage_bytes,
        grace=grace,
        failpoint=failpoint,
    )
    node.serve(add_to_server, servicer)
    node.serve(model_pb2_grpc.add_ShelfServiceServicer_to_server, shelf_servicer(node.settings))


async def _read_reach(node: Node[Settings]) -> Reach:
    try:
        async with asyncio.timeout(_NATS_S):
            jobs = await node.jobs()
    except TimeoutError as exc:
        message = "NATS does not answer, and without the records of songs nothing is known to be garbage"
        raise Unavailable(message, reason=Reason.UNREACHABLE, retry_after=timedelta(minutes=1)) from exc
    return await read_reach(jobs, now=_now)


def open_store(settings: Settings) -> Store:
    if settings.state_dir:
        return FileStore(settings.state_dir, now=_now, link_base=settings.link_base)
    from harmonia_artifacts.s3 import open_s3

    return open_s3(settings, now=_now)


def shelf_servicer(settings: Settings) -> ShelfServicer:
    if settings.s3_endpoint is None:
        return ShelfServicer(None)
    from harmonia_artifacts.s3 import connected
    from harmonia_artifacts.s3_shelf import Shelf

    return ShelfServicer(Shelf(connected(settings.s3_endpoint, settings), songs=settings.s3_bucket))


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    run_service("artifacts", Settings, start)


if __name__ == "__main__":
    main()
