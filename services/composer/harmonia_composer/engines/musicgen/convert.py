"""Both layouts in which MusicGen is published become ours; a program of its own, so that a bad file harms nobody.

    python -m harmonia_composer.engines.musicgen.convert SOURCE TARGET

Pickles are read with weights_only, and only audiocraft's two by their names. What is not text to mono music without
extras is refused by name: stereo, melody, style, causal codecs, biases.
"""

import json
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer, T5Config, T5EncoderModel

from harmonia_composer.engines.musicgen import weights as names
from harmonia_composer.engines.musicgen.conditioner import TIED, text_sizes
from harmonia_composer.engines.musicgen.shape import CodecShape, DecoderShape, Shape, to_json
from harmonia_composer.engines.musicgen.weights import BadWeights, check, codec_sizes, decoder_sizes, encoder_sizes
from harmonia_composer.layouts import AUDIOCRAFT, HUGGING_FACE

# What T5Config needs to build the same encoder again.
TEXT_FIELDS = (
    "vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads", "relative_attention_num_buckets",
    "relative_attention_max_distance", "layer_norm_epsilon", "feed_forward_proj",
)  # fmt: skip


# Scale and direction of a weight norm, as torch named them before and after 2.1.
_NORMS = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)


@dataclass(frozen=True, slots=True)
class Converted:
    shape: Shape
    decoder: dict[str, Tensor]
    codec: dict[str, Tensor]
    encoder: dict[str, Tensor]
    text: dict[str, Tensor]
    tokenizer: str


@dataclass(slots=True)
class Source:
    """Tensors that are taken one by one; what nobody takes and nobody ignores is an error."""

    file: str
    tensors: Mapping[str, Tensor]
    ignored: Callable[[str], bool] = field(default=lambda _: False)
    _taken: set[str] = field(default_factory=set)

    def take(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise BadWeights(f"{self.file}: missing {name}")
        self._taken.add(name)
        return self.tensors[name]

    def has(self, name: str) -> bool:
        return name in self.tensors

    def weight(self, name: str) -> Tensor:
        """A convolution's, its weight norm folded: w = g · v / |v| over all but the first dimension."""
        for scale, direction in _NORMS:
            if self.has(f"{name}.{direction}"):
                g, v = self.take(f"{name}.{scale}").float(), self.take(f"{name}.{direction}").float()
                return v * (g / v.flatten(1).norm(dim=1).view(-1, 1, 1))
        return self.take(f"{name}.weight")

    def finish(self) -> None:
        left = sorted(name for name in self.tensors.keys() - self._taken if not self.ignored(name))
        if left:
            raise BadWeights(f"{self.file}: not known {', '.join(left[:6])}{' …' if len(left) > 6 else ''}")


def convert(source: Path, target: Path) -> Shape:
    """Writes our files into `target`, a folder that exists. Raises BadWeights."""
    made = _read(source)
    check("the decoder", made.decoder, decoder_sizes(made.shape.decoder))
    check("the codec", made.codec, codec_sizes(made.shape.codec, made.shape.decoder))
    check("the codec's encoder", made.encoder, encoder_sizes(made.shape.codec))
    with torch.device("meta"):
        reader = T5EncoderModel(T5Config(**made.shape.text))
    check("the text encoder", made.text, text_sizes(reader, made.shape))
    files = zip(names.TENSORS, (made.decoder, made.codec, made.encoder, made.text), strict=True)
    for file, tensors in files:
        save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, target / file)
    (target / names.TOKENIZER).write_text(made.tokenizer)
    (target / names.SHAPE).write_text(to_json(made.shape))
    return made.shape


def _read(source: Path) -> Converted:
    if (source / names.SHAPE).is_file():
        return from_ours(source)
    # Where both lie, as in Meta's own repositories, this one is whole: the other lacks the text encoder there.
    if (source / HUGGING_FACE[0]).is_file() and list(source.glob("model*.safetensors")):
        return from_hugging_face(source)
    if all((source / name).is_file() for name in AUDIOCRAFT):
        return from_audiocraft(source)
    raise BadWeights(
        "no model here: neither audiocraft's state_dict.bin and compression_state_dict.bin "
        "nor Hugging Face's config.json and model.safetensors; other formats are not read"
    )


def from_ours(source: Path) -> Converted:
    shape = names.read_shape(source)
    decoder, codec, encoder, text = (_tensors(source / name) for name in names.TENSORS)
    return Converted(shape, decoder, codec, encoder, text, (source / names.TOKENIZER).read_text())


def from_audiocraft(source: Path) -> Converted:
    told, spoken = (_unpickled(source / name) for name in AUDIOCRAFT)
    config, codec_config = (yaml.safe_load(each["xp.cfg"]) for each in (told, spoken))
    lm, description = config["transformer_lm"], config["conditioners"].get("description", {})
    pattern = config["codebooks_pattern"]
    _refuse(
        ("stereo or more", lm["n_q"] != 4 or config.get("channels", 1) != 1 or codec_config.get("channels", 1) != 1),
        ("melody or style", set(config["conditioners"]) - {"args"} != {"description"}),
        ("a text encoder other than T5", description.get("model") != "t5"),
        ("codebooks in another pattern than delays of 0, 1, 2, 3",
         pattern["modeling"] != "delay" or list(pattern["delay"]["delays"]) != [0, 1, 2, 3]),
        ("positions that are not sinusoids", lm.get("positional_embedding", "sin") != "sin"),
        ("a transformer that is not normalised first", not lm["norm_first"] or lm["norm"] != "layer_norm"),
        ("another activation than gelu", lm["activation"] != "gelu"),
        ("another width of the inner layer than four", lm["hidden_scale"] != 4),
    )  # fmt: skip
    lm_source = Source(AUDIOCRAFT[0], told["best_state"])
    shape = DecoderShape(lm["dim"], lm["num_layers"], lm["num_heads"], lm["card"])
    decoder = decoder_of_audiocraft(lm_source, shape)
    projection = {
        f"projection.{kind}": lm_source.take(f"condition_provider.conditioners.description.output_proj.{kind}")
        for kind in ("weight", "bias")
    }
    lm_source.finish()
    codec, encoder, codec_shape = codec_of_audiocraft(spoken, codec_config)
    folder = source / Path(description["t5"]["name"]).name
    if not (folder / "config.json").is_file():
        raise BadWeights(
            f"{folder.name}/ is missing: audiocraft's checkpoints do not hold the text encoder; put it beside them"
        )
    text, text_config = text_encoder(folder)
    window = float(config.get("dataset", {}).get("segment_duration", 30.0))
    return Converted(
        Shape(shape, codec_shape, text_config, window), decoder, codec, encoder, text | projection, tokenizer(folder)
    )


def decoder_of_audiocraft(source: Source, shape: DecoderShape) -> dict[str, Tensor]:
    books = range(shape.codebooks)
    made = {
        "embeddings": torch.cat([source.take(f"emb.{book}.weight") for book in books]),
        "heads": torch.cat([source.take(f"linears.{book}.weight") for book in books]),
        "norm": source.take("out_norm.weight"),
        "norm_bias": source.take("out_norm.bias"),
    }
    for number in range(shape.layers):
        theirs, ours = f"transformer.layers.{number}", f"layers.{number}"
        cross = source.take(f"{theirs}.cross_attention.in_proj_weight")
        made |= {
            f"{ours}.qkv": source.take(f"{theirs}.self_attn.in_proj_weight"),
            f"{ours}.out": source.take(f"{theirs}.self_attn.out_proj.weight"),
            f"{ours}.cross_q": cross[: shape.width],
            f"{ours}.cross_kv": cross[shape.width :],
            f"{ours}.cross_out": source.take(f"{theirs}.cross_attention.out_proj.weight"),
            f"{ours}.up": source.take(f"{theirs}.linear1.weight"),
            f"{ours}.down": source.take(f"{theirs}.linear2.weight"),
        }
        for our, their in (("norm", "norm1"), ("cross_norm", "norm_cross"), ("mlp_norm", "norm2")):
            made[f"{ours}.{our}"] = source.take(f"{theirs}.{their}.weight")
            made[f"{ours}.{our}_bias"] = source.take(f"{theirs}.{their}.bias")
    return made


def codec_of_audiocraft(
    checkpoint: Mapping[str, Any], config: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Tensor], CodecShape]:
    if "best_state" not in checkpoint:
        raise BadWeights(f"{AUDIOCRAFT[1]} only names another codec: put the one it names in its place")
    net, last = config["seanet"], config["seanet"].get("decoder", {})
    _refuse(
        ("a codec that is not EnCodec", config["compression_model"] != "encodec"),
        ("a codec that normalises loudness", config["encodec"]["renormalize"]),
        ("a causal codec", net["causal"]),
        ("residual blocks with a convolution beside them", not net["true_skip"]),
        ("another activation than ELU", net["activation"] != "ELU" or last.get("final_activation")),
        ("another norm than weight_norm", net["norm"] != "weight_norm"),
        ("an encoder unlike its decoder", net.get("encoder")),
    )
    shape = CodecShape(
        dimension=net["dimension"], filters=net["n_filters"], ratios=tuple(net["ratios"]), lstm_layers=net["lstm"],
        residual_layers=net["n_residual_layers"], dilation_base=net["dilation_base"], kernel=net["kernel_size"],
        last_kernel=net["last_kernel_size"], residual_kernel=net["residual_kernel_size"], compress=net["compress"],
        pad_mode=net["pad_mode"], sample_rate=config["encodec"]["sample_rate"],
    )  # fmt: skip
    source = Source(AUDIOCRAFT[1], checkpoint["best_state"], ignored=_of_the_codecs_training)
    made = codec_tensors(source, shape, layers="decoder.model", conv=".conv.conv", transposed=".convtr.convtr")
    made["codebooks"] = torch.stack([source.take(f"quantizer.vq.layers.{k}._codebook.embed") for k in range(4)])
    encoder = encoder_tensors(source, shape, layers="encoder.model", conv=".conv.conv")
    source.finish()
    return made, encoder, shape


def codec_tensors(source: Source, shape: CodecShape, *, layers: str, conv: str, transposed: str) -> dict[str, Tensor]:
    """Layers are counted as the signal goes: convolution, LSTM, then activation, up, blocks, …, activation, last."""
    made = _pair(source, "first", f"{layers}.0{conv}") | _lstm(source, shape, f"{layers}.1")
    place = 3
    for stage in range(len(shape.ratios)):
        made |= _pair(source, f"up.{stage}", f"{layers}.{place}{transposed}")
        for block in range(shape.residual_layers):
            made |= _block(source, f"up.{stage}.block.{block}", f"{layers}.{place + 1 + block}.block", conv)
        place += 2 + shape.residual_layers
    return made | _pair(source, "last", f"{layers}.{place}{conv}")


def encoder_tensors(source: Source, shape: CodecShape, *, layers: str, conv: str) -> dict[str, Tensor]:
    """The other way round: convolution, then blocks, activation, down, …, LSTM, activation, last."""
    made, place = _pair(source, "first", f"{layers}.0{conv}"), 1
    for stage in range(len(shape.ratios)):
        for block in range(shape.residual_layers):
            made |= _block(source, f"down.{stage}.block.{block}", f"{layers}.{place + block}.block", conv)
        place += shape.residual_layers + 2
        made |= _pair(source, f"down.{stage}", f"{layers}.{place - 1}{conv}")
    return made | _lstm(source, shape, f"{layers}.{place}") | _pair(source, "last", f"{layers}.{place + 2}{conv}")


def _pair(source: Source, ours: str, theirs: str) -> dict[str, Tensor]:
    return {f"{ours}.weight": source.weight(theirs), f"{ours}.bias": source.take(f"{theirs}.bias")}


def _block(source: Source, ours: str, theirs: str, conv: str) -> dict[str, Tensor]:
    return _pair(source, f"{ours}.0", f"{theirs}.1{conv}") | _pair(source, f"{ours}.1", f"{theirs}.3{conv}")


def _lstm(source: Source, shape: CodecShape, layer: str) -> dict[str, Tensor]:
    parts = [
        f"{kind}_{way}_l{number}"
        for number in range(shape.lstm_layers)
        for kind in ("weight", "bias")
        for way in ("ih", "hh")
    ]
    return {f"lstm.{part}": source.take(f"{layer}.lstm.{part}") for part in parts}


def _of_the_codecs_training(name: str) -> bool:
    return name.rpartition(".")[2] in ("inited", "cluster_size", "embed_avg")


def from_hugging_face(source: Path) -> Converted:
    config = json.loads((source / "config.json").read_text())
    if config.get("model_type") != "musicgen":
        raise BadWeights(f"config.json describes a {config.get('model_type')!r}: only musicgen is played")
    lm, net = config["decoder"], config["audio_encoder"]
    channels = max(lm.get("audio_channels", 1), net.get("audio_channels", 1))
    _refuse(
        ("stereo or more", channels != 1 or lm["num_codebooks"] != 4),
        ("another activation than gelu", lm.get("activation_function", "gelu") != "gelu"),
        ("another width of the inner layer than four", lm["ffn_dim"] != 4 * lm["hidden_size"]),
        ("a causal codec", net.get("use_causal_conv", True)),
        ("a codec that normalises loudness", net.get("normalize", False)),
        ("residual blocks with a convolution beside them", net.get("use_conv_shortcut", True)),
    )  # fmt: skip
    tensors: dict[str, Tensor] = {}
    for file in sorted(source.glob("model*.safetensors")):
        tensors |= _tensors(file)
    everything = Source("model.safetensors", tensors, ignored=_not_for_playing)
    shape = DecoderShape(lm["hidden_size"], lm["num_hidden_layers"], lm["num_attention_heads"], lm["vocab_size"])
    codec_shape = CodecShape(
        dimension=net["hidden_size"], filters=net["num_filters"], ratios=tuple(net["upsampling_ratios"]),
        lstm_layers=net["num_lstm_layers"], residual_layers=net["num_residual_layers"],
        dilation_base=net["dilation_growth_rate"], kernel=net["kernel_size"], last_kernel=net["last_kernel_size"],
        residual_kernel=net["residual_kernel_size"], compress=net["compress"], pad_mode=net["pad_mode"],
        sample_rate=net["sampling_rate"],
    )  # fmt: skip
    decoder = decoder_of_hugging_face(everything, shape)
    codec = codec_tensors(
        everything, codec_shape, layers="audio_encoder.decoder.layers", conv=".conv", transposed=".conv"
    )
    codec["codebooks"] = torch.stack(
        [everything.take(f"audio_encoder.quantizer.layers.{k}.codebook.embed") for k in range(4)]
    )
    encoder = encoder_tensors(everything, codec_shape, layers="audio_encoder.encoder.layers", conv=".conv")
    text_config = _text_fields(T5Config(**config["text_encoder"]))
    text = _hugging_face_text(everything, text_config, shape)
    everything.finish()
    return Converted(Shape(shape, codec_shape, text_config), decoder, codec, encoder, text, tokenizer(source))


def decoder_of_hugging_face(source: Source, shape: DecoderShape) -> dict[str, Tensor]:
    within, books = "decoder.model.decoder", range(shape.codebooks)
    made = {
        "embeddings": torch.cat([source.take(f"{within}.embed_tokens.{book}.weight") for book in books]),
        "heads": torch.cat([source.take(f"decoder.lm_heads.{book}.weight") for book in books]),
        "norm": source.take(f"{within}.layer_norm.weight"),
        "norm_bias": source.take(f"{within}.layer_norm.bias"),
    }
    for number in range(shape.layers):
        theirs, ours = f"{within}.layers.{number}", f"layers.{number}"
        q, k, v = (source.take(f"{theirs}.self_attn.{name}_proj.weight") for name in "qkv")
        cross = [source.take(f"{theirs}.encoder_attn.{name}_proj.weight") for name in "qkv"]
        made |= {
            f"{ours}.qkv": torch.cat([q, k, v]),
            f"{ours}.out": source.take(f"{theirs}.self_attn.out_proj.weight"),
            f"{ours}.cross_q": cross[0],
            f"{ours}.cross_kv": torch.cat(cross[1:]),
            f"{ours}.cross_out": source.take(f"{theirs}.encoder_attn.out_proj.weight"),
            f"{ours}.up": source.take(f"{theirs}.fc1.weight"),
            f"{ours}.down": source.take(f"{theirs}.fc2.weight"),
        }
        norms = (("norm", "self_attn"), ("cross_norm", "encoder_attn"), ("mlp_norm", "final"))
        for our, their in norms:
            made[f"{ours}.{our}"] = source.take(f"{theirs}.{their}_layer_norm.weight")
            made[f"{ours}.{our}_bias"] = source.take(f"{theirs}.{their}_layer_norm.bias")
    return made


def _hugging_face_text(source: Source, config: dict[str, Any], shape: DecoderShape) -> dict[str, Tensor]:
    with torch.device("meta"):
        own = [name for name in T5EncoderModel(T5Config(**config)).state_dict() if name != TIED]
    text = {name: source.take(f"text_encoder.{name}") for name in own}
    if source.has("enc_to_dec_proj.weight"):
        projection = {f"projection.{kind}": source.take(f"enc_to_dec_proj.{kind}") for kind in ("weight", "bias")}
    else:  # as wide as the decoder already
        projection = {"projection.weight": torch.eye(shape.width), "projection.bias": torch.zeros(shape.width)}
    return text | projection


def _not_for_playing(name: str) -> bool:
    return (
        name == f"text_encoder.{TIED}"
        or name.endswith("embed_positions.weights")
        or (name.startswith("audio_encoder.quantizer.") and not name.endswith(".embed"))
    )


def text_encoder(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    config = _text_fields(T5Config(**json.loads((folder / "config.json").read_text())))
    with torch.device("meta"):
        own = [name for name in T5EncoderModel(T5Config(**config)).state_dict() if name != TIED]
    found = Source(f"{folder.name}/", _tensors_in(folder), ignored=_of_a_whole_t5)
    text = {name: found.take(name) for name in own}
    found.finish()
    return text, config


def _of_a_whole_t5(name: str) -> bool:
    return name.startswith(("decoder.", "lm_head.")) or name == TIED


def _tensors_in(folder: Path) -> dict[str, Tensor]:
    if (folder / "model.safetensors").is_file():
        return _tensors(folder / "model.safetensors")
    raise BadWeights(f"{folder.name}/model.safetensors is missing: other formats of the text encoder are not read")


def _text_fields(config: T5Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in TEXT_FIELDS}


def tokenizer(folder: Path) -> str:
    """As one JSON file, whichever way it came."""
    return str(AutoTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer.to_str())


def _tensors(file: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(file))
    except (SafetensorError, OSError) as error:
        raise BadWeights(f"{file.name} is damaged or not whole: get it again") from error


def _unpickled(file: Path) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadWeights(
            f"{file.name} is no checkpoint, or holds more than tensors and plain values: that is not read, for what a "
            "pickle asks for would be run"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise BadWeights(f"{file.name} is damaged or not whole: get it again") from error


def _refuse(*cases: tuple[str, object]) -> None:
    for what, found in cases:
        if found:
            raise BadWeights(f"this model has {what}, which is not played in this release")


def main(arguments: list[str]) -> int:
    source, target = map(Path, arguments)
    try:
        convert(source, target)
    except BadWeights as error:
        return _complain(str(error))
    except (KeyError, TypeError, ValueError) as error:
        return _complain(f"what describes the model cannot be read: {type(error).__name__}: {error}")
    except Exception as error:  # main of a child process: the parent shows this line
        return _complain(f"{type(error).__name__}: {error}")
    return 0


def _complain(why: str) -> int:
    """The parent shows it."""
    print(why.splitlines()[0], file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
