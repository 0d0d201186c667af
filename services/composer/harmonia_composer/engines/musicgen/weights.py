"""The tensors of a snapshot, read strictly: every name that is expected, in its size, and no other."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from harmonia_composer.engines.musicgen.shape import CodecShape, DecoderShape, Shape, from_json
from harmonia_composer.layouts import OURS

SHAPE, DECODER, CODEC, ENCODER, TEXT, TOKENIZER = OURS
TENSORS = (DECODER, CODEC, ENCODER, TEXT)

Tensors = Mapping[str, Tensor]
Sizes = dict[str, tuple[int, ...]]


class BadWeights(ValueError):
    """The files are not those of a MusicGen that can be played here."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer layer, normalised first, without biases but those of the norms. Matrices are [out, in]."""

    norm: Tensor
    norm_bias: Tensor
    qkv: Tensor
    out: Tensor
    cross_norm: Tensor
    cross_norm_bias: Tensor
    cross_q: Tensor
    cross_kv: Tensor
    cross_out: Tensor
    mlp_norm: Tensor
    mlp_norm_bias: Tensor
    up: Tensor
    down: Tensor


@dataclass(frozen=True, slots=True)
class DecoderWeights:
    """Embeddings [codebooks × (card + 1), width] and heads [codebooks × card, width], stacked by codebook."""

    shape: DecoderShape
    embeddings: Tensor
    layers: tuple[Layer, ...]
    norm: Tensor
    norm_bias: Tensor
    heads: Tensor

    @property
    def dtype(self) -> torch.dtype:
        return self.layers[0].qkv.dtype

    @property
    def device(self) -> torch.device:
        return self.heads.device


def layer_sizes(width: int) -> Sizes:
    square, vector = (width, width), (width,)
    return {
        "norm": vector, "norm_bias": vector, "qkv": (3 * width, width), "out": square,
        "cross_norm": vector, "cross_norm_bias": vector, "cross_q": square, "cross_kv": (2 * width, width),
        "cross_out": square, "mlp_norm": vector, "mlp_norm_bias": vector,
        "up": (4 * width, width), "down": (width, 4 * width),
    }  # fmt: skip


def decoder_sizes(shape: DecoderShape) -> Sizes:
    sizes: Sizes = {
        "embeddings": (shape.codebooks * (shape.card + 1), shape.width),
        "heads": (shape.codebooks * shape.card, shape.width),
        "norm": (shape.width,),
        "norm_bias": (shape.width,),
    }
    for number in range(shape.layers):
        sizes |= {f"layers.{number}.{name}": size for name, size in layer_sizes(shape.width).items()}
    return sizes


def codec_sizes(shape: CodecShape, decoder: DecoderShape) -> Sizes:
    """Weight norms are folded; names follow the order of the signal."""
    channels = shape.filters * 2 ** len(shape.ratios)
    sizes: Sizes = {"codebooks": (decoder.codebooks, decoder.card, shape.dimension)}
    sizes |= _conv("first", channels, shape.dimension, shape.kernel)
    sizes |= _lstm(shape, channels)
    for stage, ratio in enumerate(shape.ratios):
        sizes[f"up.{stage}.weight"], sizes[f"up.{stage}.bias"] = (channels, channels // 2, 2 * ratio), (channels // 2,)
        channels //= 2
        sizes |= _blocks(f"up.{stage}", shape, channels)
    return sizes | _conv("last", 1, channels, shape.last_kernel)


def encoder_sizes(shape: CodecShape) -> Sizes:
    """As `codec_sizes`; the codebooks are there."""
    channels = shape.filters
    sizes = _conv("first", channels, 1, shape.kernel)
    for stage, ratio in enumerate(reversed(shape.ratios)):
        sizes |= _blocks(f"down.{stage}", shape, channels)
        sizes |= _conv(f"down.{stage}", 2 * channels, channels, 2 * ratio)
        channels *= 2
    return sizes | _lstm(shape, channels) | _conv("last", shape.dimension, channels, shape.last_kernel)


def _lstm(shape: CodecShape, channels: int) -> Sizes:
    sizes: Sizes = {}
    for number in range(shape.lstm_layers):
        matrix, vector = (4 * channels, channels), (4 * channels,)
        sizes |= {f"lstm.weight_{way}_l{number}": matrix for way in ("ih", "hh")}
        sizes |= {f"lstm.bias_{way}_l{number}": vector for way in ("ih", "hh")}
    return sizes


def _blocks(within: str, shape: CodecShape, channels: int) -> Sizes:
    sizes, hidden = Sizes(), channels // shape.compress
    for block in range(shape.residual_layers):
        sizes |= _conv(f"{within}.block.{block}.0", hidden, channels, shape.residual_kernel)
        sizes |= _conv(f"{within}.block.{block}.1", channels, hidden, 1)
    return sizes


def _conv(name: str, out: int, into: int, kernel: int) -> Sizes:
    return {f"{name}.weight": (out, into, kernel), f"{name}.bias": (out,)}


def check(file: str, found: Tensors, expected: Sizes) -> None:
    """Raises BadWeights with the names that are missing, that are too many, or of another size."""
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    wrong = [
        f"{name} is {tuple(found[name].shape)}, not {size}"
        for name, size in expected.items()
        if name in found and tuple(found[name].shape) != size
    ]
    problems = [
        f"{what} {', '.join(names[:6])}{' …' if len(names) > 6 else ''}"
        for what, names in (("missing", missing), ("not known", extra), ("of another size:", wrong))
        if names
    ]
    if problems:
        raise BadWeights(f"{file}: {'; '.join(problems)}")


def read_shape(folder: Path) -> Shape:
    try:
        return from_json((folder / SHAPE).read_text())
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise BadWeights(f"{SHAPE}: {exc}") from exc


def read_decoder(folder: Path, shape: Shape, *, device: torch.device, dtype: torch.dtype) -> DecoderWeights:
    found = load_file(folder / DECODER, device=str(device))
    check(DECODER, found, decoder_sizes(shape.decoder))
    return decoder_weights(found, shape.decoder, dtype=dtype)


def decoder_weights(found: Tensors, shape: DecoderShape, *, dtype: torch.dtype) -> DecoderWeights:
    """Matrices in `dtype`; embeddings and the last norm in float32, as audiocraft keeps them. Its heads are float32
    too, but are rounded before they multiply."""
    names = [field.name for field in fields(Layer)]
    layers = tuple(
        Layer(**{name: found[f"layers.{number}.{name}"].to(dtype) for name in names}) for number in range(shape.layers)
    )
    whole = {name: found[name].float() for name in ("embeddings", "norm", "norm_bias")}
    return DecoderWeights(shape=shape, layers=layers, heads=found["heads"].to(dtype), **whole)


def read_codec(folder: Path, shape: Shape, *, device: torch.device) -> dict[str, Tensor]:
    found = load_file(folder / CODEC, device=str(device))
    check(CODEC, found, codec_sizes(shape.codec, shape.decoder))
    return {name: tensor.float() for name, tensor in found.items()}


def read_encoder(folder: Path, shape: Shape, *, device: torch.device) -> dict[str, Tensor]:
    found = load_file(folder / ENCODER, device=str(device))
    check(ENCODER, found, encoder_sizes(shape.codec))
    return {name: tensor.float() for name, tensor in found.items()}
