"""When each line, word and syllable is sung, as JSON for whoever shows words in time. From the score, so exact. Pure.

The format is told in docs/lyrics-files.md.
"""

import json
from itertools import groupby

from harmonia_composer.engines.arranger.score import Line, Score, Syllable

VERSION = 1


def karaoke(score: Score, language: str) -> bytes:
    by_line = {line: list(own) for line, own in groupby(score.syllables, key=lambda one: one.line)}
    told = {
        "version": VERSION,
        "title": score.title,
        "language": language,
        "bpm": score.bpm,
        "duration_seconds": seconds(score.duration_seconds),
        "lines": [timed(line, by_line.get(number, []), score) for number, line in enumerate(score.lines)],
    }
    return json.dumps(told, ensure_ascii=False, indent=1).encode() + b"\n"


def timed(line: Line, syllables: list[Syllable], score: Score) -> dict[str, object]:
    """A line that there is no time to sing has a start and no words."""
    found: dict[str, object] = {
        "text": line.text,
        "section": score.sections[line.section].name,
        "start_seconds": seconds(score.seconds(line.tick)),
    }
    if not syllables:
        return found
    words = [list(own) for _, own in groupby(syllables, key=lambda one: one.word)]
    return found | {
        "end_seconds": end_of(syllables[-1], score),
        "words": [
            {
                "text": "".join(one.text for one in own).strip(),
                "start_seconds": seconds(score.seconds(own[0].tick)),
                "end_seconds": end_of(own[-1], score),
                "syllables": [
                    {
                        "text": one.text,
                        "start_seconds": seconds(score.seconds(one.tick)),
                        "end_seconds": end_of(one, score),
                    }
                    for one in own
                ],
            }
            for own in words
        ],
    }


def end_of(syllable: Syllable, score: Score) -> float:
    return seconds(min(score.seconds(syllable.tick + syllable.length), score.duration_seconds))


def seconds(exact: float) -> float:
    return round(exact, 3)
