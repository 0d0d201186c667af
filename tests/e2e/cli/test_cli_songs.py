"""Songs that are there: list, show, watch, cancel, retry, delete."""

import json
from pathlib import Path

from tests.e2e.cli.command import Run, Told

Made = tuple[Path, Told]


def detached(run: Run, *arguments: str) -> str:
    told = run("compose", *arguments, "--detach")
    assert told.code == 0, told.err
    return told.lines[-1]


def test_a_detached_song_is_watched_to_its_end_and_downloaded(run: Run, tmp_path: Path) -> None:
    name = detached(run, "folk", "--duration", "8", "--format", "mp3", "--no-stems")
    watched = run("watch", name, "--json")
    token = watched.objects[-1]["resume_token"]
    resumed = run("watch", name, "--from", token)
    saved = run("download", name, "--out", "folk")

    assert name.startswith("songs/")
    assert (watched.code, watched.objects[-1]["song"]["state"]) == (0, "SUCCEEDED")
    states = [event["song"]["state"] for event in watched.objects if "song" in event]
    assert states[0] == "QUEUED"
    assert resumed.code == 0
    assert (saved.code, saved.lines[-1]) == (0, "folk")
    assert (tmp_path / "folk" / "master.mp3").is_file()


def test_where_there_is_no_song_a_line_says_so(run: Run) -> None:
    none = "labels.shelf = nothing"

    assert run("list", "--filter", none).out == "no songs\n"
    assert run("retry", "--filter", none, "--dry-run").out == "no songs\n"
    assert run("retry", "--filter", none, "--dry-run", "--json").out == ""


def test_a_name_of_no_song_is_not_found_and_points_at_list(run: Run) -> None:
    told = run("show", "nonsense")

    assert (told.code, told.err.count("\n")) == (3, 1)
    assert "`harmonia list`" in told.err
    assert "ListSongs" not in told.err


def test_detach_with_json_prints_the_song(run: Run) -> None:
    told = run("compose", "folk", "--duration", "8", "--detach", "--json")
    (song,) = told.objects
    run("cancel", song["name"])

    assert song["state"] == "QUEUED"
    assert song["spec"]["duration_seconds"] == 8


def test_songs_are_listed_by_state_and_label(run: Run) -> None:
    name = detached(run, "folk", "--duration", "600", "--variations", "8", "--set", "labels.shelf=a b")
    run("cancel", name)
    run("watch", name)
    by_label = run("list", "--label", "shelf=a b", "--json")
    by_both = run("list", "--label", "shelf=a b", "--state", "succeeded", "--json")
    table = run("list", "--label", "shelf=a b")

    (listing,) = by_label.objects
    assert [song["name"] for song in listing["songs"]] == [name]
    assert listing["total_size"] == 1
    assert by_both.objects == [{"songs": [], "next_page_token": "", "total_size": 0}]
    assert name in table.out


def test_a_cancelled_song_ends_its_watch_with_9_and_can_be_retried(run: Run) -> None:
    name = detached(run, "folk", "--duration", "600", "--variations", "8")
    early = run("download", name, "--json")
    cancelled = run("cancel", name)
    watched = run("watch", name)
    dry = run("retry", "--filter", "state = CANCELLED", "--dry-run", "--json")
    retried = run("retry", name, "--json")
    run("cancel", name)

    assert (early.code, early.error["reason"]) == (5, "WRONG_STATE")
    assert (cancelled.code, watched.code) == (0, 9)
    assert watched.err == f"harmonia: {name} was cancelled\n"
    assert name in [song["name"] for song in dry.objects]
    assert retried.objects[0]["state"] in {"QUEUED", "RUNNING"}


def test_a_deleted_song_is_no_longer_listed_and_can_be_brought_back(run: Run) -> None:
    name = detached(run, "folk", "--duration", "600", "--set", "labels.shelf=gone")
    run("cancel", name)
    run("watch", name)
    deleted = run("delete", name)
    without = run("list", "--label", "shelf=gone", "--json")
    back = run("undelete", name, "--json")
    listed = run("list", "--label", "shelf=gone", "--json")

    assert (deleted.code, deleted.out) == (0, f"{name} DELETED\n")
    assert without.objects[0]["songs"] == []
    assert back.objects[0]["state"] == "CANCELLED"
    assert [song["name"] for song in listed.objects[0]["songs"]] == [name]


def test_a_finished_song_cannot_be_cancelled_or_retried(song: Made, run: Run) -> None:
    folder, _ = song
    name = json.loads((folder / "song.json").read_text())["name"]
    cancelled, retried = run("cancel", name, "--json"), run("retry", name, "--json")

    assert (cancelled.code, cancelled.error["reason"]) == (5, "WRONG_STATE")
    assert (retried.code, retried.error["reason"]) == (5, "WRONG_STATE")


def test_show_prints_the_song_of_the_folder(song: Made, run: Run) -> None:
    folder, _ = song
    saved = json.loads((folder / "song.json").read_text())
    shown = run("show", saved["name"], "--json")
    without_prefix = run("show", saved["name"].removeprefix("songs/"))

    assert shown.objects == [saved]
    assert json.loads(without_prefix.out) == saved


def test_a_song_whose_deadline_passes_has_failed(run: Run) -> None:
    from datetime import UTC, datetime, timedelta

    soon = (datetime.now(UTC) + timedelta(seconds=8)).isoformat().replace("+00:00", "Z")
    told = run("compose", "folk", "--duration", "600", "--variations", "8", "--set", f"deadline={soon}")

    assert told.code == 8
    assert told.err.count("\n") == 1
    assert "deadline" in told.err
