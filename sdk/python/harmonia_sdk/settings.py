"""Where a client finds its mesh: the environment and the user's config file are read here and nowhere else."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from harmonia_sdk.errors import InvalidInput, Reason

FOR_A_MESH = ("HARMONIA_OTLP_ENDPOINT", "HARMONIA_LLM", "HARMONIA_S3_", "HARMONIA_STORAGE_")
PROFILE_KEYS = {"server", "ca", "token_file"}


@dataclass(frozen=True, slots=True)
class Profile:
    """A remote mesh: "host:port", and files with its CA and the user's token."""

    server: str
    ca: Path | None = None
    token_file: Path | None = None


def chosen_home(environ: Mapping[str, str] = os.environ) -> Path | None:
    """$HARMONIA_HOME, where somebody set it."""
    home = environ.get("HARMONIA_HOME", "")
    return Path(home).expanduser() if home else None


def default_home() -> Path:
    return chosen_home() or platformdirs.user_data_path("harmonia", appauthor=False)


def otlp_endpoint(environ: Mapping[str, str] = os.environ) -> str:
    """$HARMONIA_OTLP_ENDPOINT: where traces of commands, and of the meshes they start, go; empty: nowhere."""
    return environ.get("HARMONIA_OTLP_ENDPOINT", "")


def for_a_mesh(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What of the user's environment a mesh that is started here is told: traces, the language model, the store."""
    return {name: value for name, value in environ.items() if name.startswith(FOR_A_MESH) and value}


def config_file() -> Path:
    return platformdirs.user_config_path("harmonia", appauthor=False) / "config.toml"


def read_profile(path: Path) -> Profile | None:
    """The [profile] of a config file; None where there is no file or no such table."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("profile")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InvalidInput(f"cannot read {path}: {exc}", reason=Reason.MALFORMED, field="profile") from exc
    return None if table is None else _profile(table, path)


def _profile(table: object, path: Path) -> Profile:
    if not isinstance(table, dict) or not isinstance(table.get("server"), str) or not table["server"]:
        raise InvalidInput(
            f'[profile] in {path} must name its mesh: server = "host:port"', reason=Reason.MALFORMED, field="server"
        )
    if unknown := sorted(set(table) - PROFILE_KEYS):
        raise InvalidInput(
            f"[profile] in {path} has no {unknown[0]!r}: allowed are {', '.join(sorted(PROFILE_KEYS))}",
            reason=Reason.UNKNOWN_FIELD,
            field=unknown[0],
        )
    ca, token_file = (_beside(path, table.get(key)) for key in ("ca", "token_file"))
    return Profile(table["server"], ca=ca, token_file=token_file)


def _beside(config: Path, value: object) -> Path | None:
    return config.parent / Path(value).expanduser() if isinstance(value, str) and value else None
