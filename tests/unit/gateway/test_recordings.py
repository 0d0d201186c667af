import asyncio
import threading
from pathlib import Path

import numpy as np
import soundfile

from harmonia_gateway.recordings import Recording


async def test_a_listener_who_leaves_while_the_file_is_read_does_no_harm(tmp_path: Path) -> None:
    """libsndfile ends the process when a file is closed under a read."""
    path = tmp_path / "song.flac"
    soundfile.write(path, np.zeros((48_000 * 60, 2), dtype=np.float32), 48_000)
    for _ in range(50):
        recording = Recording(path)
        reading = asyncio.create_task(recording.read(0, 48_000 * 60))
        await asyncio.sleep(0)  # its thread begins
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        recording.close()

        assert len(await recording.read(0, 1)) == 0
    assert threading.active_count() < 50
