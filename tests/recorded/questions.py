"""Two thousand questions with their answers, recorded, so that a change of the code can be seen to change none of them.

    python -m tests.recorded.questions --write        records them in questions.json.gz, beside this file
    python -m tests.recorded.questions --exact FILE   writes every digit of the answers to FILE

The questions are asked one after the other of an installation that is built anew from a seed (`site.py`), with a clock
that stands still; among them are events, changes of items and rules, which later answers have to take in. Compared is
the text of an answer, with the order of its fields. What is random or of a clock is replaced by a star: ids of
answers, of requests and of events without one, ids of rules (by a number), and the milliseconds taken.

Which items are answered, their order, their sources and reasons are the same on every machine (see `release.py` for
why). Scores are not: they go through `exp`, whose last digit differs between processors, and those of a user whose
vector is worked out when the answer is through that vector's length in float32, whose seventh digit does. They are
recorded to 8 decimals and may be off by `CLOSE`; of a cursor, which holds a score, only that there is one is recorded
(the next pages are asked with it). To compare two versions of the code on one machine to the last bit, cursors
included, write a file with `--exact` from each and compare the files.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from bento_service.telemetry.logs import configure_logging
from tests.recorded.ask import SCORE, Asking, Question
from tests.recorded.invented import invented
from tests.recorded.site import opened

RECORDED = Path(__file__).with_name("questions.json.gz")
SEED = 1
CLOSE = 2e-7
"""How far a score may be from the recorded one."""
SHOWN = 5
"""Differences that are printed."""


def read(file: Path = RECORDED) -> tuple[list[Question], list[str]]:
    """Return the recorded questions and their answers."""
    entries = [json.loads(line) for line in gzip.decompress(file.read_bytes()).decode().splitlines()]
    return [entry["ask"] for entry in entries], [entry["answer"] for entry in entries]


def text_of(questions: Sequence[Question], answers: Sequence[str]) -> str:
    """Return one line of JSON for each question."""
    lines = (
        json.dumps({"ask": question, "answer": answer}, ensure_ascii=False, separators=(",", ":"))
        for question, answer in zip(questions, answers, strict=True)
    )
    return "".join(f"{line}\n" for line in lines)


def asked(questions: Sequence[Question], home: Path, *, exact: bool = False) -> list[str]:
    """Build the installation below `home`, and return its answers."""
    with opened(home) as site:
        return list(Asking(site, exact=exact).answers(questions))


def differences(questions: Sequence[Question], before: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    """Tell for each question that is answered otherwise where the answers part."""
    for number, (question, one, other) in enumerate(zip_longest(questions, before, now, fillvalue="")):
        if not _same(one, other):
            place = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
            near = slice(max(0, place - 200), place + 200)
            yield (
                f"question {number}: {json.dumps(question, ensure_ascii=False)}\n"
                f"  recorded, at character {place}: … {one[near]} …\n  answered: … {other[near]} …"
            )


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    if SCORE.sub(r"\1", one) != SCORE.sub(r"\1", other):
        return False
    scores = zip(SCORE.findall(one), SCORE.findall(other), strict=True)
    return all(abs(float(a) - float(b)) <= CLOSE for (_, a), (_, b) in scores)


def main(arguments: Sequence[str]) -> int:
    """Record the answers; return the exit status."""
    exact = arguments[:1] == ["--exact"]
    if not (exact and len(arguments) == 2) and list(arguments) != ["--write"]:
        sys.stderr.write(__doc__ or "")
        return 2
    configure_logging("CRITICAL")
    questions = invented(SEED)
    with tempfile.TemporaryDirectory() as home:
        text = text_of(questions, asked(questions, Path(home), exact=exact))
    if exact:
        Path(arguments[1]).write_text(text, encoding="utf-8")
    else:
        RECORDED.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    sys.stderr.write(f"{len(questions)} questions recorded.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
