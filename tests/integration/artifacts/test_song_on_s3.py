"""`harmonia compose` where the environment names a bucket: a song from end to end, and no byte of it in the home."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.integration.artifacts.s3_servers import S3Server


def test_a_song_of_a_private_mesh_lies_in_the_bucket_that_the_environment_names(
    s3_server: S3Server, tmp_path: Path
) -> None:
    for name, text in (("access", s3_server.access_key), ("secret", s3_server.secret_key)):
        (tmp_path / name).write_text(text)
    home, out = tmp_path / "home", tmp_path / "song"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HARMONIA_")} | {
        "HARMONIA_HOME": str(home),
        "HARMONIA_S3_ENDPOINT": f"http://{s3_server.address}",
        "HARMONIA_S3_BUCKET": "songs",
        "HARMONIA_S3_ACCESS_KEY_FILE": "access",  # relative, as people write them
        "HARMONIA_S3_SECRET_KEY_FILE": str(tmp_path / "secret"),
    }
    asked = ["compose", "techno", "--duration", "8", "--no-stems", "--format", "flac", "--json", "--out", str(out)]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("harmonia")), *asked],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    song = json.loads(done.stdout.splitlines()[-1])
    stored = {item.object_name or "" for item in s3_server.client().list_objects("songs", recursive=True)}
    master = hashlib.sha256((out / "master.flac").read_bytes()).hexdigest()
    assert song["state"] == "SUCCEEDED"
    assert {f"local/{master[:2]}/{master}", f"local/{master[:2]}/{master}.json"} <= stored
    assert list((home / "artifacts").iterdir()) == []
