"""The text encoder: a description becomes what the decoder's cross-attention listens to."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from harmonia_composer.engines.musicgen.shape import Shape
from harmonia_composer.engines.musicgen.weights import TEXT, TOKENIZER, Sizes, check

# The encoder's embedding under its second name.
TIED = "encoder.embed_tokens.weight"
PROJECTION = ("projection.weight", "projection.bias")


class Conditioner:
    """T5, then a projection to the decoder's width. In float32 on every device, as audiocraft has it on a CPU."""

    def __init__(self, folder: Path, shape: Shape, *, device: torch.device) -> None:
        found = load_file(folder / TEXT, device=str(device))
        with torch.device("meta"):
            encoder = T5EncoderModel(T5Config(**shape.text))
        check(TEXT, found, text_sizes(encoder, shape))
        self._projection = tuple(found.pop(name).float() for name in PROJECTION)
        weights = {name: tensor.float() for name, tensor in found.items()}
        encoder.load_state_dict({**weights, TIED: weights["shared.weight"]}, assign=True)
        self._encoder = encoder.eval().requires_grad_(requires_grad=False)
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._device = device

    def tokens(self, description: str) -> list[int]:
        return list(self._tokenizer.encode(description).ids)

    def text(self, description: str) -> Tensor:
        """[tokens, width], float32."""
        ids = torch.tensor([self.tokens(description)], device=self._device)
        with torch.inference_mode():
            told = self._encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            return F.linear(told[0], *self._projection)


def text_sizes(encoder: T5EncoderModel, shape: Shape) -> Sizes:
    sizes: Sizes = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items() if name != TIED}
    width = shape.decoder.width
    return sizes | {PROJECTION[0]: (width, encoder.config.d_model), PROJECTION[1]: (width,)}
