"""MusicGen, decoded here. torch, transformers and safetensors are imported under this folder and nowhere else."""
