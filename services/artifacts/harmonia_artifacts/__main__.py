"""Artifacts as a process: bytes by digest, on files or on S3."""

import asyncio
from datetime import UTC, datetime

from harmonia.store.v1 import store_pb2_grpc as rpc
from harmonia_artifacts.files import FileStore
from harmonia_artifacts.servicer import StoreServicer
from harmonia_artifacts.settings import Settings
from harmonia_artifacts.store import Store
from harmonia_chassis.node import Node, run_service
from harmonia_chassis.testing import Failpoint, never


async def start(node: Node[Settings], *, failpoint: Failpoint = never) -> None:
    store = await asyncio.to_thread(open_store, node.settings)
    node.serve(rpc.add_StoreServiceServicer_to_server, StoreServicer(store, failpoint=failpoint))


def open_store(settings: Settings) -> Store:
    if settings.state_dir:
        return FileStore(settings.state_dir, now=_now, link_base=settings.link_base)
    from harmonia_artifacts.s3 import open_s3

    return open_s3(settings, now=_now)


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    run_service("artifacts", Settings, start)


if __name__ == "__main__":
    main()
