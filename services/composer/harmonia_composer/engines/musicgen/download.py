"""A snapshot of a repository of Hugging Face into a folder; a program of its own.

    python -m harmonia_composer.engines.musicgen.download URL REPOSITORY REVISION FOLDER

What is there already is not read again, what broke off goes on. Every file is checked against the digest that the
repository states. The last line on stdout says which revision it was and which licence its card states.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from harmonia_composer.layouts import wanted

UNREACHABLE = 7


class Unfit(Exception):
    """There is nothing there to play, or it is not what it says it is."""


def download(url: str, repository: str, revision: str, folder: Path) -> dict[str, str]:
    info = HfApi(endpoint=url).model_info(repository, revision=revision, files_metadata=True)
    stated = {each.rfilename: each for each in info.siblings or ()}
    names = wanted(list(stated))
    if not names:
        raise Unfit("no model there: neither config.json and model.safetensors nor audiocraft's state_dict.bin")
    total = sum(stated[name].size or 0 for name in names) or 1
    done = 0
    for name in names:
        say(fraction=done / total, message=f"downloading {name}")
        path = Path(hf_hub_download(repository, name, revision=info.sha, local_dir=folder, endpoint=url))
        if digest_of(path, lfs=bool(stated[name].lfs)) != _stated_digest(stated[name]):
            path.unlink()
            raise Unfit(f"{name} is not what the repository says: its digest differs; try again")
        done += stated[name].size or 0
    card = info.card_data
    return {"revision": info.sha or "", "licence": str(card.get("license") or "") if card else ""}


def _stated_digest(file: Any) -> str:
    return str(file.lfs.sha256 if file.lfs else file.blob_id)


def digest_of(path: Path, *, lfs: bool) -> str:
    """SHA-256 of large files; of the others, git's own: SHA-1 of a header and the content."""
    digest = hashlib.sha256() if lfs else hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def say(**told: object) -> None:
    print(json.dumps(told), flush=True)  # noqa: T201  # to the parent


def main(arguments: list[str]) -> int:
    url, repository, revision, folder = arguments
    try:
        say(**download(url, repository, revision, Path(folder)))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return complain(f"{url} has no repository {repository} with a revision {revision} that may be read", 1)
    except Unfit as error:
        return complain(str(error), 1)
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError, OSError) as error:
        return complain(f"{url} could not be read: {type(error).__name__}", UNREACHABLE)
    return 0


def complain(message: str, code: int) -> int:
    print(message, file=sys.stderr)  # noqa: T201  # to the parent
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
