"""Songs interrupted, as bytes: what an order's checkpoint holds."""

from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from harmonia_composer.engines.musicgen.batch import Kept


def kept_bytes(takes: Mapping[int, Kept], fingerprint: str) -> bytes:
    tensors = {"order": torch.frombuffer(bytearray.fromhex(fingerprint), dtype=torch.uint8)}
    for take, kept in takes.items():
        # Tokens fit 16 bits, the one of empty places among them.
        tensors[f"{take}.past"] = kept.past.to(torch.int16).cpu().contiguous()
        tensors[f"{take}.columns"] = kept.columns.to(torch.int16).cpu().contiguous()
        tensors[f"{take}.window"] = torch.tensor([kept.window])
    return bytes(save(tensors))


def restored(data: bytes, fingerprint: str) -> dict[int, Kept]:
    """Empty when the bytes are not of this order."""
    try:
        tensors = load(data) if data else {}
    except SafetensorError:
        return {}
    if "order" not in tensors or bytes(tensors["order"].tolist()).hex() != fingerprint:
        return {}
    takes = sorted({int(name.partition(".")[0]) for name in tensors if name != "order"})
    return {
        take: Kept(
            window=int(tensors[f"{take}.window"]),
            past=tensors[f"{take}.past"].long(),
            columns=tensors[f"{take}.columns"].long(),
        )
        for take in takes
    }
