from datetime import UTC, datetime

import pytest

from harmonia.capability.v1 import capability_pb2 as pb
from harmonia_gateway import rules


def support(field: str, kind: "pb.FieldSupport.Support.ValueType", values: tuple[str, ...] = ()) -> pb.FieldSupport:
    return pb.FieldSupport(field=field, support=kind, values=values)


def arranger() -> pb.Engine:
    """As the contract of the spine describes the engine."""
    exact = ("genre", "bpm", "key", "duration_seconds", "seed", "variations", "outputs.stems", "outputs.midi")
    later = ("bars", "sections", "conditioning")
    return pb.Engine(
        name="arranger",
        version="0.1.0",
        genres=["lo-fi hip-hop", "techno", "folk"],
        moods=["calm", "dark", "warm"],
        instruments=["rhodes", "drums", "bass"],
        fields=[
            *(support(name, pb.FieldSupport.EXACT) for name in (*exact, "complexity", "moods", "instruments")),
            *(support(name, pb.FieldSupport.LATER) for name in later),
            support("negative_prompt", pb.FieldSupport.HINT),
            support("time_signature", pb.FieldSupport.EXACT, ("4/4",)),
            support("kind", pb.FieldSupport.EXACT, ("SONG",)),
            support("language", pb.FieldSupport.EXACT, ("en",)),
            support("vocals", pb.FieldSupport.EXACT, ("OFF",)),
            support("model", pb.FieldSupport.NO),
            support("sampling", pb.FieldSupport.NO),
        ],
        cpu_seconds_per_second=0.03,
        licence="Apache-2.0",
        roles=["drums", "bass", "chords", "lead", "pad"],
    )


def anything() -> pb.Engine:
    """Takes every field, so that only the rules of the contract refuse."""
    paths = rules.RULES.keys() - {"engine", "labels", "deadline", "batch"}
    return pb.Engine(
        name="anything",
        models=[pb.Model(name="small")],
        genres=["techno", "ska"],
        moods=["calm", "dark"],
        instruments=["bass", "tuba"],
        fields=[support(path, pb.FieldSupport.EXACT) for path in paths],
        gpu_seconds_per_second=0.5,
    )


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def capabilities() -> pb.Capabilities:
    levels = {"STREAMING": (-14, -1), "PODCAST": (-16, -1), "BROADCAST": (-23, -1), "LOUD": (-9, -1), "NONE": (0, -1)}
    presets = [pb.MasteringPreset(name=n, target_lufs=t, ceiling_dbtp=c) for n, (t, c) in levels.items()]
    return pb.Capabilities(engines=[arranger(), anything()], presets=presets, formats=["wav", "flac", "mp3"])
