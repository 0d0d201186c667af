"""The composer as a process: engines behind a call door and a queue door, which share their slots."""

import asyncio
from collections.abc import Callable, Mapping

from harmonia.composer.v1 import composer_pb2 as pb
from harmonia.composer.v1 import composer_pb2_grpc as rpc
from harmonia.model.v1 import model_pb2_grpc
from harmonia_chassis.node import Background, Node, run_service
from harmonia_chassis.slots import Slots
from harmonia_chassis.testing import Failpoint, never
from harmonia_chassis.worker import Worker
from harmonia_composer.compose import Composer
from harmonia_composer.engine import Engine
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.engines.arranger.fonts import with_fonts
from harmonia_composer.engines.musicgen.engine import MusicGen, installed
from harmonia_composer.engines.musicgen.meters import Meters
from harmonia_composer.importing import Importer
from harmonia_composer.listening import CHECKPOINT_EVERY_S
from harmonia_composer.model_servicer import ModelServicer
from harmonia_composer.models import Models
from harmonia_composer.servicer import ComposerServicer
from harmonia_composer.settings import Settings
from harmonia_composer.shelf import Shelf
from harmonia_composer.wire import request_from


async def start(
    node: Node[Settings],
    *,
    engines: Mapping[str, Engine] | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    failpoint: Failpoint = never,
) -> None:
    models = models_of(node.settings)
    playing = engines if engines is not None else engines_of(node, models)
    slots = {name: Slots(engine.slots) for name, engine in playing.items()}
    composer = Composer(playing, node.store, node.settings.scratch_dir, checkpoint_every_s=checkpoint_every_s)
    node.serve(rpc.add_ComposerServiceServicer_to_server, ComposerServicer(composer, slots))
    if models is not None:
        downloads = node.settings.scratch_dir / "downloads"
        shelf = Shelf(node.channel("artifacts"))
        importer = Importer(models, shelf.bring, hub_url=node.settings.hub_url, downloads=downloads)
        node.serve(model_pb2_grpc.add_ModelStoreServiceServicer_to_server, ModelServicer(models, importer))
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


def models_of(settings: Settings) -> Models | None:
    if settings.models_dir is None:
        return None
    return Models(settings.models_dir, budget_bytes=settings.models_bytes)


def engines_of(node: Node[Settings], models: Models | None) -> dict[str, Engine]:
    """Of what is installed here: an engine that cannot play is not offered."""
    found: dict[str, Engine] = {"arranger": Arranger(with_fonts(node.settings.soundfonts))}
    if models is not None and installed():
        found["musicgen"] = MusicGen(models, Meters(node.metrics.registry), slots=node.settings.musicgen_slots)
    return found


def warm_up(engine: Engine) -> Background:
    async def run(ready: Callable[[], None]) -> None:
        await asyncio.to_thread(engine.warm_up)
        ready()

    return run


def main() -> None:
    run_service("composer", Settings, start)


if __name__ == "__main__":
    main()
