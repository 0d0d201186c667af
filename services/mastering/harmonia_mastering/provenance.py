"""provenance.json: where the files of a take come from and what is in them, as an in-toto statement, not yet signed.

It is one of the files that are the same when the song is made again, so it holds no time, no machine and no name of a
song: those stand in song.json. PURE, but for reading the files it is about.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harmonia_mastering.encode import BLOCK, LOSSY, Format
from harmonia_mastering.master import Mastered, Target
from harmonia_mastering.tags import Tags

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://harmonia.local/provenance/v1"
_PCM = {Format.WAV: "int24", Format.WAV16: "int16", Format.WAV32F: "float32", Format.FLAC: "int24"}


@dataclass(frozen=True, slots=True)
class Origin:
    engine: str
    engine_version: str
    model_digest: str
    licence: str
    stages: tuple[str, ...]
    numerics: str = ""
    continued_from: str = ""


@dataclass(frozen=True, slots=True)
class Digests:
    """pcm_sha256: of the interleaved little-endian samples, as `ffmpeg -f s24le` and the like write them; empty for
    lossy formats, which every decoder decodes a little differently."""

    sha256: str
    pcm_sha256: str


def digests(file: Path, to: Format) -> Digests:
    with file.open("rb") as opened:
        whole = hashlib.file_digest(opened, "sha256").hexdigest()
    return Digests(whole, "" if to in LOSSY else _pcm_sha256(file, to))


def _pcm_sha256(file: Path, to: Format) -> str:
    import soundfile

    kind, digest = _PCM[to], hashlib.sha256()
    with soundfile.SoundFile(file) as opened:
        while len(block := opened.read(BLOCK, dtype="float32" if kind == "float32" else "int32", always_2d=True)):
            digest.update(_packed(block, kind))
    return digest.hexdigest()


def _packed(block: "np.ndarray[tuple[int, ...], np.dtype[np.int32 | np.float32]]", kind: str) -> bytes:
    """libsndfile gives integers in the highest bits of 32."""
    if kind == "float32":
        return block.astype("<f4").tobytes()
    width = 3 if kind == "int24" else 2
    return np.ascontiguousarray(block.astype("<i4").view(np.uint8).reshape(-1, 4)[:, 4 - width :]).tobytes()


def provenance_json(
    files: Mapping[Format, Digests],
    *,
    premaster_sha256: str,
    seed: int,
    origin: Origin,
    tags: Tags,
    target: Target,
    mastered: Mastered,
    versions: Sequence[tuple[str, str]],
) -> bytes:
    loudness = mastered.loudness
    statement = {
        "_type": STATEMENT,
        "subject": [_subject(to, one) for to, one in files.items()],
        "predicateType": PREDICATE,
        "predicate": {
            "digitalSourceType": tags.source_type.uri,
            "resolvedSpecDigest": {"sha256": tags.comment},
            "engine": {
                "name": origin.engine,
                "version": origin.engine_version,
                "modelDigest": {"sha256": origin.model_digest} if origin.model_digest else None,
                "licence": origin.licence,
                **({"numerics": origin.numerics} if origin.numerics else {}),
            },
            "seed": seed,
            "stages": [*origin.stages, "master"],
            "materials": [_material("premaster", premaster_sha256), *_continued(origin)],
            "mastering": {
                "versions": dict(versions),
                "target_lufs": target.loudness_lufs,
                "ceiling_dbtp": target.ceiling_dbtp,
                "intensity": target.intensity,
                "status": mastered.status,
                "gain_db": round(mastered.gain_db, 3),
                "limiter_reduction_db": mastered.limiter_reduction_db,
                "glue_reduction_db": mastered.glue_reduction_db,
                "tilt_db": mastered.tilt_db,
            },
            "loudness": {
                "integrated_lufs": _rounded(loudness.integrated_lufs),
                "range_lu": _rounded(loudness.range_lu),
                "true_peak_dbtp": _rounded(loudness.true_peak_dbtp),
            },
        },
    }
    return json.dumps(statement, indent=1, ensure_ascii=False).encode() + b"\n"


def _material(name: str, sha256: str) -> dict[str, object]:
    return {"name": name, "digest": {"sha256": sha256}}


def _continued(origin: Origin) -> list[dict[str, object]]:
    return [_material("continued_from", origin.continued_from)] if origin.continued_from else []


def _subject(to: Format, one: Digests) -> dict[str, object]:
    subject: dict[str, object] = {"name": to.file, "digest": {"sha256": one.sha256}}
    if one.pcm_sha256:
        subject["annotations"] = {"pcm": {"sha256": one.pcm_sha256, "samples": _PCM[to]}}
    return subject


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
