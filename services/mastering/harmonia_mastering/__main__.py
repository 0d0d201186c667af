"""Mastering as a process: the end of a song's way, and an ear for any recording."""

import asyncio
from collections.abc import Callable

from harmonia.mastering.v1 import mastering_pb2_grpc as rpc
from harmonia_chassis.lanes import SERVES
from harmonia_chassis.node import Node, run_service
from harmonia_chassis.slots import Slots
from harmonia_chassis.testing import Failpoint, never
from harmonia_chassis.worker import Worker
from harmonia_mastering.encoders import Encoders
from harmonia_mastering.servicer import MasteringServicer
from harmonia_mastering.settings import Settings
from harmonia_mastering.stage import MasterStage
from harmonia_mastering.warm import warm_up
from harmonia_mastering.wire import request_from


async def start(node: Node[Settings], *, failpoint: Failpoint = never) -> None:
    slots = Slots(node.settings.slots)
    # Two for each song: MP3 takes one, the quicker formats the other.
    encoders = Encoders(2 * node.settings.slots)
    stage = MasterStage(node.store, encoders)
    worker = Worker(
        node,
        lanes=SERVES[node.service],
        request_from=request_from,
        perform=stage.perform,
        slots=slots,
        failpoint=failpoint,
    )
    node.serve(rpc.add_MasteringServiceServicer_to_server, MasteringServicer(stage, slots))

    async def run(ready: Callable[[], None]) -> None:
        async with encoders:
            await asyncio.to_thread(warm_up)
            await worker.run(ready)

    node.background("worker", run, drains=True)


def main() -> None:
    run_service("mastering", Settings, start)


if __name__ == "__main__":
    main()
