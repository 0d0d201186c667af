"""The composer as a process: engines behind a call door and a queue door, which share their slots."""

import asyncio
from collections.abc import Callable, Mapping

from harmonia.composer.v1 import composer_pb2 as pb
from harmonia.composer.v1 import composer_pb2_grpc as rpc
from harmonia_chassis.node import Background, Node, run_service
from harmonia_chassis.slots import Slots
from harmonia_chassis.testing import Failpoint, never
from harmonia_chassis.worker import Worker
from harmonia_composer.compose import Composer
from harmonia_composer.engine import Engine
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.servicer import ComposerServicer
from harmonia_composer.settings import Settings
from harmonia_composer.wire import request_from


async def start(
    node: Node[Settings], *, engines: Mapping[str, Engine] | None = None, failpoint: Failpoint = never
) -> None:
    playing = engines if engines is not None else {"arranger": Arranger()}
    slots = {name: Slots(engine.slots) for name, engine in playing.items()}
    composer = Composer(playing, node.store, node.settings.scratch_dir)
    node.serve(rpc.add_ComposerServiceServicer_to_server, ComposerServicer(composer, slots))
    for name, engine in playing.items():
        worker: Worker[pb.ComposeRequest] = Worker(
            node,
            lanes=[f"compose-{name}"],
            request_from=request_from,
            perform=composer.perform,
            slots=slots[name],
            failpoint=failpoint,
        )
        node.background(f"worker of {name}", worker.run, drains=True)
        node.background(f"warm-up of {name}", warm_up(engine))


def warm_up(engine: Engine) -> Background:
    async def run(ready: Callable[[], None]) -> None:
        await asyncio.to_thread(engine.warm_up)
        ready()

    return run


def main() -> None:
    run_service("composer", Settings, start)


if __name__ == "__main__":
    main()
