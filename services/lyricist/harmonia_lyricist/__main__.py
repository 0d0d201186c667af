"""The lyricist as a process: prompts to briefs and words, at the call door and from the lane `write`."""

import asyncio

from harmonia.lyricist.v1 import lyricist_pb2_grpc as rpc
from harmonia_chassis.node import Node, closing, run_service
from harmonia_chassis.slots import Slots
from harmonia_chassis.testing import Failpoint, never
from harmonia_chassis.worker import Worker
from harmonia_lyricist.language_model import language_model
from harmonia_lyricist.servicer import LyricistServicer
from harmonia_lyricist.settings import Settings
from harmonia_lyricist.wire import request_from
from harmonia_lyricist.write import Lyricist, load


async def start(node: Node[Settings], *, failpoint: Failpoint = never) -> None:
    model = language_model(node.settings)
    lyricist = Lyricist(await asyncio.to_thread(load), node.store, model)
    slots = Slots(node.settings.slots)
    node.serve(rpc.add_LyricistServiceServicer_to_server, LyricistServicer(lyricist, slots))
    worker = Worker(
        node,
        lanes=("write",),
        request_from=request_from,
        perform=lyricist.perform,
        slots=slots,
        failpoint=failpoint,
    )
    node.background("worker", worker.run, drains=True)
    if model:
        node.background("language model", closing(model.close))


def main() -> None:
    run_service("lyricist", Settings, start)


if __name__ == "__main__":
    main()
