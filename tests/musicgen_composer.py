"""The composer, keeping MusicGen's songs several times a second: `python -m tests.musicgen_composer`."""

from functools import partial

from harmonia_chassis.node import Node, run_service
from harmonia_composer.__main__ import models_of, start
from harmonia_composer.engine import Engine
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.engines.musicgen.engine import MusicGen
from harmonia_composer.engines.musicgen.meters import Meters
from harmonia_composer.settings import Settings

KEEP_EVERY_S = 0.2


async def start_keeping(node: Node[Settings]) -> None:
    models = models_of(node.settings)
    assert models is not None
    meters, slots = Meters(node.metrics.registry), node.settings.musicgen_slots
    engine = MusicGen(models, meters, slots=slots, keep_every_s=KEEP_EVERY_S)
    engines: dict[str, Engine] = {"arranger": Arranger(), engine.name: engine}
    await partial(start, engines=engines, checkpoint_every_s=KEEP_EVERY_S)(node)


if __name__ == "__main__":
    run_service("composer", Settings, start_keeping)
