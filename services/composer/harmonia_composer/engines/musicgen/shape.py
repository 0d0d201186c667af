"""What one MusicGen is, in numbers: `shape.json` of a snapshot. Pure."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

# 2: with the codec's encoder, in encoder.safetensors.
SCHEMA = 2


@dataclass(frozen=True, slots=True)
class DecoderShape:
    width: int
    layers: int
    heads: int
    card: int
    codebooks: int = 4

    @property
    def special(self) -> int:
        """The token of columns where a codebook has no frame yet, or none any more."""
        return self.card


@dataclass(frozen=True, slots=True)
class CodecShape:
    """An EnCodec. Its decoder: convolution, LSTM, and a transposed convolution with residual blocks for each ratio;
    its encoder the same backwards, where `kernel` is of the first convolution and `last_kernel` of the last too."""

    dimension: int
    filters: int
    ratios: tuple[int, ...]
    lstm_layers: int
    residual_layers: int
    dilation_base: int
    kernel: int
    last_kernel: int
    residual_kernel: int
    compress: int
    pad_mode: str
    sample_rate: int

    @property
    def hop(self) -> int:
        """Samples a frame."""
        product = 1
        for ratio in self.ratios:
            product *= ratio
        return product


@dataclass(frozen=True, slots=True)
class Shape:
    """`window_seconds`: as long as the model was taught to go on without moving its window."""

    decoder: DecoderShape
    codec: CodecShape
    text: dict[str, Any]
    window_seconds: float = 30.0
    schema: int = SCHEMA

    @property
    def frame_rate(self) -> float:
        return self.codec.sample_rate / self.codec.hop

    def frames(self, seconds: float) -> int:
        """As audiocraft rounds: down."""
        return int(seconds * self.frame_rate)


def to_json(shape: Shape) -> str:
    return json.dumps(dataclasses.asdict(shape), indent=1, sort_keys=True) + "\n"


def from_json(text: str) -> Shape:
    """Raises ValueError, KeyError or TypeError when it is no shape of this schema."""
    fields = json.loads(text)
    if fields.get("schema") != SCHEMA:
        told = fields.get("schema")
        raise ValueError(f"schema {told!r}, and this release reads {SCHEMA}: import the model again from where it came")
    codec = fields.pop("codec")
    codec["ratios"] = tuple(codec["ratios"])
    return Shape(decoder=DecoderShape(**fields.pop("decoder")), codec=CodecShape(**codec), **fields)
