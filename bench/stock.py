"""MusicGen as others play it, untouched, on models of random weights at any dimensions: what ours is compared with.

audiocraft 1.3.0 runs unmodified on today's torch but imports, at the top, what only training and other models need;
`audiocraft()` stands in for those while it is imported.
"""

import contextlib
import functools
import importlib.machinery
import json
import os
import sys
import types
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

ABSENT = (
    "torchaudio", "torchaudio.transforms", "spacy", "av", "librosa", "librosa.filters",
    "audiocraft.solvers", "audiocraft.solvers.compression",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dimensions:
    width: int
    layers: int
    heads: int
    card: int
    codec_filters: int = 2
    # 12 are T5-base; one is a small one, for tests.
    text_layers: int = 1
    window_seconds: float = 30.0
    pad_mode: str = "constant"


TINY = Dimensions(32, 2, 4, 64)
MINI = Dimensions(256, 8, 4, 2048)
SMALL = Dimensions(1024, 24, 16, 2048, codec_filters=64)


@functools.cache
def audiocraft() -> Any:
    """The package, imported once. Any: it ships no types."""
    import transformers

    # transformers looks for optional packages by name, so it goes first; xformers is asked for at run time: it stays.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for lazy in ("RobertaTokenizer", "T5EncoderModel", "T5Tokenizer", "EncodecModel"):
        assert hasattr(transformers, lazy)
    for name in ("flashy", "flashy.distrib"):  # of training; the real one brings a package called "tests"
        _stand_in(name)
    _stand_in("xformers")
    _stand_in(
        "xformers.ops", unbind=torch.unbind, LowerTriangularMask=type("Mask", (), {}), memory_efficient_attention=None
    )
    _stand_in("xformers.profiler")
    _stand_in("xformers.profiler.profiler", _Profiler=type("Profiler", (), {"_CURRENT_PROFILER": None}))
    missing = [name for name in ABSENT if name not in sys.modules]
    for name in missing:
        _stand_in(name, MelSpectrogram=None, CompressionSolver=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import audiocraft.models
    for name in missing:
        del sys.modules[name]
    return audiocraft


def _stand_in(name: str, **contents: object) -> None:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__path__ = []
    module.__dict__.update(contents)
    sys.modules[name] = module


def build(folder: Path, size: Dimensions, *, device: str = "cpu", dtype: str = "float32", seed: int = 0) -> Any:
    """audiocraft's MusicGen of random weights on a device. Its text encoder is left in `folder`."""
    models = audiocraft().models
    write_text_encoder(folder / "t5-base", size, seed)
    torch.manual_seed(seed)
    from omegaconf import OmegaConf

    told = OmegaConf.create(lm_config(size) | {"device": device, "dtype": dtype})
    spoken = OmegaConf.create(codec_config(size) | {"device": device})
    with _beside(folder):
        lm, codec = models.builders.get_lm_model(told), models.builders.get_compression_model(spoken)
    _roughen(lm, codec)
    return models.MusicGen("random", codec, lm, max_duration=size.window_seconds)


def write_model(folder: Path, size: Dimensions, *, seed: int = 0) -> Path:
    """A folder in audiocraft's own layout, with its text encoder beside it."""
    from omegaconf import OmegaConf

    made = build(folder, size, seed=seed)
    for name, model, config in (
        ("state_dict.bin", made.lm, lm_config(size)),
        ("compression_state_dict.bin", made.compression_model, codec_config(size)),
    ):
        state = {
            "xp.cfg": OmegaConf.to_yaml(OmegaConf.create(config)),
            "best_state": model.state_dict(),
            "version": "1.3.0",
            "exported": True,
        }
        torch.save(state, folder / name)
    return folder


def load_audiocraft(folder: Path) -> Any:
    """audiocraft's MusicGen of that folder."""
    with _beside(folder):
        return audiocraft().models.MusicGen.get_pretrained(str(folder.resolve()), device="cpu")


def _roughen(lm: Any, codec: Any) -> None:
    """Untrained norms do nothing and an untrained codec is a zero: swapped ones would not be noticed."""
    with torch.no_grad():
        for name, weight in lm.named_parameters():
            if "norm" in name:
                weight.add_(torch.randn_like(weight) * 0.1)
        for layer in codec.quantizer.vq.layers:
            layer._codebook.embed.normal_()
        # An untrained encoder says the same of every sound.
        for name, weight in codec.encoder.named_parameters():
            if name.endswith(("weight_g", "weight.original0")):
                weight.mul_(2.5)


@contextlib.contextmanager
def _beside(folder: Path) -> Any:
    """audiocraft finds a local t5-base only in the working directory."""
    before = Path.cwd()
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.chdir(before)


def write_text_encoder(folder: Path, size: Dimensions, seed: int) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    torch.manual_seed(seed + 1)
    inner = (
        {"d_kv": 64, "d_ff": 3072, "num_heads": 12} if size.text_layers > 1 else {"d_kv": 8, "d_ff": 16, "num_heads": 2}
    )
    T5EncoderModel(T5Config(vocab_size=64, d_model=768, num_layers=size.text_layers, **inner)).save_pretrained(folder)
    letters = [(letter, -3.0) for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
    words = Tokenizer(models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *letters], unk_id=2))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def lm_config(size: Dimensions) -> dict[str, Any]:
    return {
        "device": "cpu",
        "dtype": "float32",
        "lm_model": "transformer_lm",
        "channels": 1,
        "sample_rate": 32000,
        "transformer_lm": _transformer(size),
        "codebooks_pattern": {
            "modeling": "delay",
            "delay": {"delays": [0, 1, 2, 3], "flatten_first": 0, "empty_initial": 0},
        },
        "attribute_dropout": {},
        "classifier_free_guidance": {"training_dropout": 0.3, "inference_coef": 3.0},
        "fuser": _fuser(),
        "conditioners": {
            "description": {
                "model": "t5",
                "t5": {"name": "t5-base", "finetune": False, "word_dropout": 0.3, "normalize_text": False},
            }
        },
        "dataset": {"segment_duration": size.window_seconds},
    }


def _transformer(size: Dimensions) -> dict[str, Any]:
    """As in the published models, with other sizes."""
    biases = dict.fromkeys(("bias_ff", "bias_attn", "bias_proj"), False)
    of_training = {"dropout": 0.0, "attention_dropout": None, "emb_lr": None, "checkpointing": "none"}
    started = {"weight_init": "gaussian", "depthwise_init": "current", "zero_bias_init": True}
    without = dict.fromkeys(("custom", "attention_as_float32", "xpos", "cross_attention", "two_step_cfg"), False)
    norms = {"norm": "layer_norm", "norm_first": True, "qk_layer_norm": False, "qk_layer_norm_cross": False}
    return (
        biases
        | of_training
        | started
        | without
        | norms
        | {
            "n_q": 4,
            "card": size.card,
            "dim": size.width,
            "num_heads": size.heads,
            "num_layers": size.layers,
            "hidden_scale": 4,
            "activation": "gelu",
            "past_context": None,
            "causal": True,
            "memory_efficient": True,
            "layer_scale": None,
            "positional_embedding": "sin",
            "kv_repeat": 1,
        }
    )


def _fuser() -> dict[str, Any]:
    """Text by cross-attention, and nothing else."""
    nothing: dict[str, list[str]] = {way: [] for way in ("sum", "prepend", "input_interpolate")}
    return {"cross_attention_pos_emb": False, "cross_attention_pos_emb_scale": 1, "cross": ["description"], **nothing}


def codec_config(size: Dimensions) -> dict[str, Any]:
    return {
        "device": "cpu",
        "compression_model": "encodec",
        "channels": 1,
        "sample_rate": 32000,
        "encodec": {
            "autoencoder": "seanet",
            "quantizer": "rvq",
            "sample_rate": 32000,
            "channels": 1,
            "causal": False,
            "renormalize": False,
        },
        "seanet": _seanet(size),
        "rvq": {
            "n_q": 4,
            "q_dropout": False,
            "bins": size.card,
            "decay": 0.99,
            "kmeans_init": False,
            "kmeans_iters": 50,
            "threshold_ema_dead_code": 2,
            "orthogonal_reg_weight": 0.0,
            "orthogonal_reg_active_codes_only": False,
        },
    }


def _seanet(size: Dimensions) -> dict[str, Any]:
    return {
        "dimension": 128 if size.codec_filters == 64 else 16,
        "channels": 1,
        "causal": False,
        "n_filters": size.codec_filters,
        "n_residual_layers": 1,
        "ratios": [8, 5, 4, 4],
        "activation": "ELU",
        "activation_params": {"alpha": 1.0},
        "norm": "weight_norm",
        "norm_params": {},
        "kernel_size": 7,
        "residual_kernel_size": 3,
        "last_kernel_size": 7,
        "dilation_base": 2,
        "pad_mode": size.pad_mode,
        "true_skip": True,
        "compress": 2,
        "lstm": 2,
        "disable_norm_outer_blocks": 0,
        "decoder": {"trim_right_ratio": 1.0, "final_activation": None, "final_activation_params": None},
        "encoder": {},
    }


def hugging_face(theirs: Any, folder: Path) -> Any:
    """transformers' MusicGen with the tensors of audiocraft's, and its text encoder from `folder`. Saved, it is the
    other published layout."""
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        T5Config,
        T5EncoderModel,
    )

    lm, codec, size = theirs.lm, theirs.compression_model, _dimensions_of(theirs)
    config = MusicgenConfig(
        text_encoder=T5Config.from_pretrained(folder / "t5-base"),
        audio_encoder=EncodecConfig(
            sampling_rate=32000, audio_channels=1, normalize=False, num_filters=size.codec_filters,
            hidden_size=codec.decoder.dimension, codebook_dim=codec.decoder.dimension, codebook_size=size.card,
            upsampling_ratios=[8, 5, 4, 4], use_causal_conv=False, use_conv_shortcut=False, pad_mode=size.pad_mode,
            target_bandwidths=[200 * (size.card.bit_length() - 1) / 1000],
        ),
        decoder=MusicgenDecoderConfig(
            vocab_size=size.card, hidden_size=size.width, num_hidden_layers=size.layers, ffn_dim=4 * size.width,
            num_attention_heads=size.heads, num_codebooks=4, pad_token_id=size.card, bos_token_id=size.card,
        ),
    )  # fmt: skip
    model = MusicgenForConditionalGeneration(config).eval()
    model.text_encoder.load_state_dict(T5EncoderModel.from_pretrained(folder / "t5-base").state_dict())
    _fill(model.decoder, _decoder_names(lm, size), may_lack="embed_positions")
    _fill(model.audio_encoder, dict(_codec_names(codec)))
    projection = lm.condition_provider.conditioners["description"].output_proj
    _fill(model.enc_to_dec_proj, projection.state_dict())
    chosen = model.generation_config
    chosen.decoder_start_token_id = chosen.pad_token_id = chosen.bos_token_id = size.card
    return model


def save_hugging_face(model: Any, folder: Path, *, text_encoder: Path) -> Path:
    from transformers import AutoTokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(text_encoder).save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "musicgen"
    return folder


def _dimensions_of(theirs: Any) -> Dimensions:
    lm, decoder = theirs.lm, theirs.compression_model.decoder
    return Dimensions(
        lm.dim, len(lm.transformer.layers), lm.transformer.layers[0].self_attn.num_heads, lm.card,
        codec_filters=decoder.n_filters, pad_mode=decoder.model[0].pad_mode,
    )  # fmt: skip


def _fill(module: Any, tensors: dict[str, torch.Tensor], *, may_lack: str = "") -> None:
    own = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    told = module.load_state_dict(own, strict=False)
    assert not told.unexpected_keys, told.unexpected_keys[:3]
    missing = [name for name in told.missing_keys if not may_lack or may_lack not in name]
    assert not missing, missing[:3]


def _decoder_names(lm: Any, size: Dimensions) -> dict[str, torch.Tensor]:
    within, made = "model.decoder", {}
    for book in range(4):
        made[f"{within}.embed_tokens.{book}.weight"] = lm.emb[book].weight
        made[f"lm_heads.{book}.weight"] = lm.linears[book].weight
    for number, layer in enumerate(lm.transformer.layers):
        name = f"{within}.layers.{number}"
        for theirs, ours in (("self_attn", layer.self_attn), ("encoder_attn", layer.cross_attention)):
            for part, letter in enumerate("qkv"):
                rows = slice(part * size.width, (part + 1) * size.width)
                made[f"{name}.{theirs}.{letter}_proj.weight"] = ours.in_proj_weight[rows]
            made[f"{name}.{theirs}.out_proj.weight"] = ours.out_proj.weight
        for theirs, ours in (("self_attn", layer.norm1), ("encoder_attn", layer.norm_cross), ("final", layer.norm2)):
            made |= {f"{name}.{theirs}_layer_norm.{kind}": getattr(ours, kind) for kind in ("weight", "bias")}
        made |= {f"{name}.fc1.weight": layer.linear1.weight, f"{name}.fc2.weight": layer.linear2.weight}
    return made | {f"{within}.layer_norm.{kind}": getattr(lm.out_norm, kind) for kind in ("weight", "bias")}


def _codec_names(codec: Any) -> Any:
    for name, tensor in codec.state_dict().items():
        side, _, rest = name.partition(".")
        if side in ("encoder", "decoder"):
            part = (
                rest.replace("model.", "layers.", 1).replace("conv.conv.", "conv.").replace("convtr.convtr.", "conv.")
            )
            yield f"{side}.{part}", tensor
        else:
            yield name.replace("quantizer.vq.layers", "quantizer.layers").replace("._codebook.", ".codebook."), tensor


def hugging_face_tokens(model: Any, ids: torch.Tensor, *, frames: int, guidance: float, **how: Any) -> torch.Tensor:
    """Tokens [4, frames] of transformers' own generate, caught on their way into its codec. Greedy by default."""
    caught: list[torch.Tensor] = []

    def catch(codes: torch.Tensor, **_: object) -> Any:
        caught.append(codes)
        return types.SimpleNamespace(audio_values=codes)

    whole, model.audio_encoder.decode = model.audio_encoder.decode, catch
    try:
        model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), guidance_scale=guidance,
            max_new_tokens=frames + 3, **{"do_sample": False} | how,
        )  # fmt: skip
    finally:
        model.audio_encoder.decode = whole
    return caught[0].reshape(4, -1)
