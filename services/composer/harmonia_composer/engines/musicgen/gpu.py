"""What `harmonia doctor --gpu` looks at; prints a finding a line, as JSON. `python -m …engines.musicgen.gpu`"""

import json
from collections.abc import Iterator

import torch

# One way of a copy; long enough that launching it is nothing.
_COPIED_BYTES, _COPIES = 1 << 30, 20


def findings() -> Iterator[dict[str, object]]:
    if not torch.cuda.is_available():
        way_out = "musicgen plays on the CPU, slowly; install the driver of an NVIDIA GPU"
        yield _finding("gpu", ok=False, detail=f"torch {torch.__version__} finds none", way_out=way_out)
        return
    told, free = torch.cuda.get_device_properties(0), torch.cuda.mem_get_info()[0]
    yield _finding("gpu", ok=True, detail=f"{told.name}, compute capability {told.major}.{told.minor}")
    yield _finding("driver", ok=True, detail=f"torch {torch.__version__}, CUDA {torch.version.cuda}")
    memory = f"{free / 2**30:.1f} of {told.total_memory / 2**30:.1f} GiB free"
    yield _finding("gpu memory", ok=free > 4 << 30, detail=memory, way_out="musicgen small needs 4 GiB")
    yield _finding("gpu bandwidth", ok=True, detail=f"{bandwidth() / 1e12:.2f} TB/s, copying")
    yield _kernels()


def bandwidth() -> float:
    """Bytes read and written in a second."""
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


def _kernels() -> dict[str, object]:
    try:
        import triton
    except ModuleNotFoundError:
        return _finding("gpu kernels", ok=True, detail="no Triton: steps are torch's, captured as a graph")
    fused = torch.cuda.get_device_capability() >= (8, 0)
    what = "our own, captured as a graph" if fused else "torch's: our own need compute capability 8.0"
    return _finding("gpu kernels", ok=True, detail=f"Triton {triton.__version__}; steps are {what}")


def _finding(check: str, *, ok: bool, detail: str, way_out: str = "") -> dict[str, object]:
    return {"check": check, "ok": ok, "detail": detail, "way_out": "" if ok else way_out, "needed": check == "gpu"}


if __name__ == "__main__":
    for each in findings():
        print(json.dumps(each), flush=True)  # noqa: T201  # to the parent
