"""The layouts in which a MusicGen lies on a disk or elsewhere, by the names of their files. Pure."""

from collections.abc import Sequence

AUDIOCRAFT = ("state_dict.bin", "compression_state_dict.bin")
TEXT_ENCODER = "t5-base/"
HUGGING_FACE = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "spiece.model",
)  # fmt: skip
OURS = (
    "shape.json", "decoder.safetensors", "codec.safetensors", "encoder.safetensors", "text.safetensors",
    "tokenizer.json",
)  # fmt: skip
# `sha256sum * > SHA256SUMS`, for those who want to be sure of what arrives.
SUMS = "SHA256SUMS"
# What says whence and under which licence, and what the files are.
BESIDE = ("README.md", "inventory.json", SUMS)


def wanted(names: Sequence[str]) -> list[str]:
    """Of all that lies there, what makes the model: ours, or tensors, or, where there are none, audiocraft's pickles.

    Empty when there is no model.
    """
    beside = [name for name in BESIDE if name in names]
    if OURS[0] in names:
        return [*beside, *(name for name in OURS if name in names)]
    tensors = [name for name in names if name.startswith("model") and name.endswith(".safetensors")]
    if tensors and HUGGING_FACE[0] in names:
        return [*beside, *(name for name in HUGGING_FACE if name in names), *tensors]
    if all(name in names for name in AUDIOCRAFT):
        return [*beside, *(name for name in names if name.startswith(TEXT_ENCODER)), *AUDIOCRAFT]
    return []
