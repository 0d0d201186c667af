"""Songs found, put together, exported, shared and deleted by the command line."""

import json
import subprocess
import zipfile
from pathlib import Path

from tests.e2e.cli.command import Run, Told

Made = tuple[Path, Told]


def name_of(song: Made) -> str:
    name: str = json.loads((song[0] / "song.json").read_text())["name"]
    return name


def detached(run: Run, *arguments: str) -> str:
    told = run("compose", *arguments, "--detach")
    assert told.code == 0, told.err
    return told.lines[-1]


def test_a_song_is_found_by_its_prompt_and_by_another_that_sounds_like_it(song: Made, run: Run) -> None:
    name = name_of(song)
    other = detached(run, "lo-fi hip-hop at 84 bpm in A minor", "--duration", "10", "--no-stems", "--format", "mp3")
    run("watch", other)
    found = run("search", "rainy", "even*", "--limit", "200")
    nothing = run("search", "rainy techno xylophone")
    alike = run("search", "--like", other, "--limit", "200", "--json")
    neither, both = run("search", "--json"), run("search", "rain", "--like", name, "--json")

    assert any(line.startswith(name) for line in found.lines)
    assert "prompt:" in found.out
    assert "[rainy] [evening]" in found.out
    assert nothing.out == "no songs\n"
    (page,) = alike.objects
    by_name = {match["song"]["name"]: match for match in page["matches"]}
    assert by_name[name]["score"] > 0.5
    assert {"tempo", "key"} <= {one["feature"] for one in by_name[name]["likenesses"]}
    assert (neither.code, both.code, both.error["field"]) == (2, 2, "query")


def test_a_project_is_exported_as_a_zip_that_proves_itself(song: Made, run: Run, tmp_path: Path) -> None:
    project = run("project", "create", "Rain: Songs", name_of(song)).lines[-1]
    other = detached(run, "folk", "--duration", "600", "--variations", "8", "--set", f"project={project}")
    moved = run("project", "add", project, other, "--at", "1")
    shown = run("project", "show", project, "--json")
    exported = run("project", "export", project)
    again = run("project", "export", project, "--json")
    run("cancel", other)
    removed = run("project", "remove", project, other)
    listed = run("project", "list")
    deleted = run("project", "delete", project)

    assert (moved.code, exported.code, removed.code, deleted.code) == (0, 0, 0, 0)
    assert [entry["song"] for entry in shown.objects[0]["songs"]] == [other, name_of(song)]
    assert exported.lines[-1] == "rain-songs.zip"
    assert f"left out: {other}" in exported.lines
    assert (again.code, again.error["reason"]) == (5, "NAME_TAKEN")
    assert f"{project}" in listed.out
    with zipfile.ZipFile(tmp_path / "rain-songs.zip") as archive:
        archive.extractall(tmp_path / "out")
    (folder,) = (tmp_path / "out" / "rain-songs").glob("1-*")
    held = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    saved = {path.relative_to(song[0]): path.read_bytes() for path in song[0].rglob("*") if path.is_file()}
    assert held == saved
    summed = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder.parent, check=False)
    assert summed.returncode == 0


def test_a_link_is_made_listed_and_taken_back(song: Made, run: Run) -> None:
    name = name_of(song)
    made = run("share", name, "--for", "12h", "--what", "formats", "--format", "flac", "--json")
    listed = run("shares", name)
    share = made.objects[0]["share"]["name"]
    gone = run("unshare", share)
    wrong = run("share", name, "--for", "soon", "--json")
    long = run("share", name, "--for", "8d", "--json")

    assert made.objects[0]["path"].startswith("/s/hml_")
    assert f"{share}  {name}  formats flac" in listed.out
    assert gone.out == f"{share} is revoked\n"
    assert run("shares", name).out == "no links: harmonia share NAME makes one\n"
    assert (wrong.code, wrong.error["field"]) == (2, "for")
    assert (long.code, long.error["field"]) == (2, "valid_for")


def test_a_dry_run_says_how_many_would_be_deleted(run: Run) -> None:
    names = [detached(run, "folk", "--duration", "600", "--variations", "8", "--set", "labels.shelf=old") for _ in "ab"]
    for name in names:
        run("cancel", name)
        run("watch", name)
    which = ("--filter", "labels.shelf = old")
    dry = run("delete", *which, "--dry-run")
    deleted = run("delete", *which)
    again = run("delete", *which)
    everything = run("delete", "--filter", " ", "--json")

    assert dry.lines[-1] == "2 would be deleted"
    assert sorted(deleted.lines) == sorted(f"{name} DELETED" for name in names)
    assert again.out == "no songs\n"
    assert (everything.code, everything.error["field"]) == (2, "filter")
