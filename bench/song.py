"""A 60 s song on a running mesh: wall time from CreateSong to SUCCEEDED, and by stage."""

import time

from bench.meshes import real_mesh
from bench.table import Row, spread
from harmonia.song.v1 import song_pb2, spec_pb2

PROMPTS = {
    "lo-fi hip-hop": "warm lo-fi hip-hop for a rainy evening, 84 bpm, A minor",
    "techno": "dark techno, 132 bpm, F minor",
    "folk": "folk for a morning in the hills, D major",
}
RUNS = 5


async def rows() -> list[Row]:
    found = []
    async with real_mesh() as measured:
        for genre, prompt in PROMPTS.items():
            walls, stages = [], []
            for seed in range(RUNS):
                began = time.monotonic()
                song = await measured.client.create(spec_pb2.SongSpec(prompt=prompt, duration_seconds=60, seed=seed))
                async for event in measured.client.watch(song.name):
                    if event.HasField("song"):
                        song = event.song
                walls.append(time.monotonic() - began)
                assert song.state == song_pb2.Song.SUCCEEDED, song.error.message
                stages.append(_stages(song))
            found.append(Row(f"60 s of {genre}, wall", spread(walls), "≤ 5 s"))
            found += [Row(f"60 s of {genre}, {name}", spread([one[name] for one in stages])) for name in stages[0]]
    return found


def _stages(song: song_pb2.Song) -> dict[str, float]:
    return {
        stage.name: (stage.end_time.ToDatetime() - stage.start_time.ToDatetime()).total_seconds()
        for stage in song.stages
    }
