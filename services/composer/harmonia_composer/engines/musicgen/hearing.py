"""The recording that a song goes on from, as its codec is to hear it."""

import numpy as np
import soxr
import torch
from torch import Tensor

from harmonia_composer.engine import Source
from harmonia_composer.engines.musicgen.shape import CodecShape


def heard(source: Source, shape: CodecShape) -> Tensor:
    """Samples float32 [n], mono, at the codec's rate; n whole frames, so that no silence fills up the last.

    Brought to full scale by the peak of the whole recording: a pre-master's own level says nothing, and a song that
    goes on from one that goes on from one would fade.
    """
    samples = np.fromfile(source.path, dtype="<f4", count=round(source.seconds * source.rate_hz))
    if source.peak:
        samples /= source.peak
    at_rate = soxr.resample(samples, source.rate_hz, shape.sample_rate)
    return torch.from_numpy(at_rate[: len(at_rate) // shape.hop * shape.hop])
