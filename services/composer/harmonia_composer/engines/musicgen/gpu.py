"""What `harmonia doctor --gpu` looks at; prints a finding a line, as JSON. `python -m …engines.musicgen.gpu`

Says what is missing also where torch is not installed, or there is no GPU at all.
"""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

# Where NVIDIA's driver for Linux says which it is.
_DRIVER = Path("/proc/driver/nvidia/version")
# One way of a copy; long enough that launching it is nothing.
_COPIED_BYTES, _COPIES = 1 << 30, 20
_SLOTS, _STEPS = 3, 40
# Of the peak: what float32 sums in another order may differ by.
_CLOSE = 1e-5
_REPORT = "report it, with this line and the driver's"
Finding = dict[str, object]


def findings() -> Iterator[Finding]:
    if not driver_is_there() and not _torch_finds_one():
        detail = "this machine has no NVIDIA GPU, or none that its driver shows"
        way_out = "nothing needs one: musicgen plays on the CPU too, far slower"
        yield _finding("gpu", ok=False, detail=detail, way_out=way_out)
        return
    driver = _DRIVER.read_text().splitlines()[0] if driver_is_there() else "of another kind than Linux's own"
    yield _finding("gpu driver", ok=True, detail=driver.removeprefix("NVRM version: ").strip())
    if importlib.util.find_spec("torch") is None:
        way_out = "make song ARGS='--engine musicgen --model DIR' installs it"
        yield _finding(
            "gpu", ok=False, detail="torch is not installed, without which nothing plays on it", way_out=way_out
        )
        return
    if not _torch_finds_one():
        way_out = "update the driver: torch's CUDA is newer than what it can do"
        yield _finding("gpu", ok=False, detail=f"{_torch_versions()} cannot use it", way_out=way_out)
        return
    yield from _of_the_gpu()


def driver_is_there() -> bool:
    """Known without torch."""
    return _DRIVER.is_file()


def _torch_finds_one() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def _torch_versions() -> str:
    import torch

    return f"torch {torch.__version__}, CUDA {torch.version.cuda}"


def _of_the_gpu() -> Iterator[Finding]:
    import torch

    told, free = torch.cuda.get_device_properties(0), torch.cuda.mem_get_info()[0]
    what = f"{told.name}, compute capability {told.major}.{told.minor}, {_torch_versions()}"
    yield _finding("gpu", ok=True, detail=what)
    memory = f"{free / 2**30:.1f} of {told.total_memory / 2**30:.1f} GiB free"
    yield _finding("gpu memory", ok=free > 4 << 30, detail=memory, way_out="musicgen small needs 4 GiB")
    yield _finding("gpu bandwidth", ok=True, detail=f"{bandwidth() / 1e12:.2f} TB/s, copying")
    yield _kernels()
    yield _codec()


def bandwidth() -> float:
    """Bytes read and written in a second."""
    import torch

    source = torch.empty(_COPIED_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    target.copy_(source)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(_COPIES):
        target.copy_(source)
    end.record()
    torch.cuda.synchronize()
    return float(2 * _COPIED_BYTES * _COPIES / (start.elapsed_time(end) / 1000))


def _kernels() -> Finding:
    if importlib.util.find_spec("triton") is None:
        return _finding("gpu kernels", ok=True, detail="no Triton: steps are torch's, captured as a graph")
    wrong = kernels_err(_SLOTS, _STEPS)
    detail = f"{wrong} tokens of {_SLOTS * 4 * _STEPS} are not those of torch's own operations"
    return _finding("gpu kernels", ok=wrong == 0, detail=detail, way_out=_REPORT)


def _codec() -> Finding:
    graphs, off = codec_err(_SLOTS)
    detail = f"songs decoded together are {off:.1e} of their peak off each alone; by {graphs} captured graphs of 2"
    return _finding("gpu codec", ok=off <= _CLOSE and graphs == 2, detail=detail, way_out=_REPORT)


def codec_err(songs: int) -> tuple[int, float]:
    """Graphs captured, for one song and for all; and how far samples are off, of their peak."""
    import torch

    from harmonia_composer.engines.musicgen import trial
    from harmonia_composer.engines.musicgen.player import room_for

    codec = trial.random_codec(torch.device("cuda"))
    room = room_for(codec, songs=songs)
    try:
        return len(room.steady), trial.off_when_together(codec, room, card=trial.SHAPE.card)
    finally:
        room.close()


def kernels_err(slots: int, steps: int) -> int:
    """Tokens of a captured step that are not those of torch's own operations: of a small decoder, in float32."""
    import torch

    from harmonia_composer.engines.musicgen import trial
    from harmonia_composer.engines.musicgen.decoder import Decoder
    from harmonia_composer.engines.musicgen.fused import on_gpu

    torch.backends.cuda.matmul.allow_tf32 = False
    weights, drawings = trial.random_weights(torch.device("cuda")), trial.DRAWINGS[-slots:]
    with torch.inference_mode():
        plain = Decoder(weights, slots=slots, columns=trial.COLUMNS, text=trial.TEXT)
        quick = on_gpu(weights, slots=slots, columns=trial.COLUMNS, text=trial.TEXT)
        both = [trial.begun(decoder, drawings, 0) for decoder in (plain, quick)]
    return trial.tokens_that_differ(both[0], both[1], steps)


def _finding(check: str, *, ok: bool, detail: str, way_out: str = "") -> Finding:
    needed = check in ("gpu", "gpu kernels", "gpu codec")
    return {"check": check, "ok": ok, "detail": detail, "way_out": "" if ok else way_out, "needed": needed}


if __name__ == "__main__":
    for each in findings():
        print(json.dumps(each), flush=True)  # noqa: T201  # to the parent
