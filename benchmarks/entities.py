"""Entities against public annotations: the bare model and what the rules make of it.

Sets: CoNLL++ test, UNER EWT dev and test, wikigold, WNUT17 test, beside the checkout in
``../shared/data/ner``. Consecutive sentences stand as the lines of one text, for the rules work
over a whole text. Scored: exact spans of persons, places and organisations, micro F1. Also printed:
where the rules and the annotation disagree, if asked with ``--errors``.

    python -m benchmarks.entities [--errors SET] [--sentences-per-text 12]
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from transforms.entities import EntityRecognizer, Mention, refine_mentions
from transforms.gazetteer import Gazetteer

SETS = ("conllpp", "ewt_dev", "ewt_test", "wikigold", "wnut17")
FOLDER = Path(__file__).parents[2] / "shared" / "data" / "ner"
CLASS_OF_TYPE = {"person": "PER", "place": "LOC", "facility": "LOC", "organisation": "ORG"}
CLASS_OF_LABEL = {
    **{label: label for label in ("PER", "LOC", "ORG")},
    **{"person": "PER", "location": "LOC", "corporation": "ORG", "group": "ORG"},  # WNUT17
}

Span = tuple[int, int, str]
"""Start and end in characters of the text, and PER, LOC or ORG."""


def read_texts(path: Path, sentences_per_text: int) -> Iterator[tuple[str, set[Span]]]:
    """Read annotated sentences as texts of some lines, tokens set apart by spaces."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    for first in range(0, len(rows), sentences_per_text):
        text = ""
        gold: set[Span] = set()
        for row in rows[first : first + sentences_per_text]:
            start, label = -1, "O"
            for token, tag in zip([*row["tokens"], ""], [*row["bio"], "O"], strict=True):
                continues = tag.startswith("I-") and tag[2:] == label
                if not continues:
                    if label in CLASS_OF_LABEL:
                        gold.add((start, len(text.rstrip(" ")), CLASS_OF_LABEL[label]))
                    start, label = len(text), tag[2:] or "O"
                text += f"{token} " if token else ""
            text = f"{text.rstrip(' ')}\n"
        yield text, gold


def spans_of(mentions: Iterable[Mention]) -> set[Span]:
    return {(m.start, m.end, CLASS_OF_TYPE[m.type]) for m in mentions if m.type in CLASS_OF_TYPE}


def f1(counts: Counter[str]) -> str:
    precision = counts["right"] / max(counts["found"], 1)
    recall = counts["right"] / max(counts["gold"], 1)
    score = 2 * precision * recall / max(precision + recall, 1e-9)
    return f"P {precision:.3f} R {recall:.3f} F1 {score:.3f}"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--errors", choices=SETS, help="print this set's disagreements")
    parser.add_argument("--sentences-per-text", type=int, default=12)
    options = parser.parse_args(arguments)
    if not FOLDER.exists():
        print(f"skipped: no annotated sets at {FOLDER}")
        return
    gazetteer = Gazetteer.load()
    recognizer = EntityRecognizer.load(gazetteer)
    for name in SETS:
        texts, golds = zip(
            *read_texts(FOLDER / f"{name}.jsonl.gz", options.sentences_per_text), strict=True
        )
        started = time.perf_counter()
        marked = recognizer.mark_spans(texts)
        model_seconds = time.perf_counter() - started
        started = time.perf_counter()
        refined = [
            refine_mentions(text, spans, gazetteer)
            for text, spans in zip(texts, marked, strict=True)
        ]
        rules_seconds = time.perf_counter() - started
        words = sum(len(text.split()) for text in texts)
        for label, found in (("model", marked), ("rules", refined)):
            counts: Counter[str] = Counter()
            by_class: dict[str, Counter[str]] = {c: Counter() for c in ("PER", "LOC", "ORG")}
            for mentions, gold in zip(found, golds, strict=True):
                spans = spans_of(mentions)
                for part, members in (("found", spans), ("gold", gold), ("right", spans & gold)):
                    counts[part] += len(members)
                    for member in members:
                        by_class[member[2]][part] += 1
            classes = "  ".join(f"{c} {f1(n)[-5:]}" for c, n in by_class.items())
            print(f"{name:9} {label}: {f1(counts)}   {classes}")
        print(
            f"{name:9} words a second: model {words / model_seconds:,.0f}, "
            f"rules {words / rules_seconds:,.0f}"
        )
        if name == options.errors:
            for text, mentions, raw, gold in zip(texts, refined, marked, golds, strict=True):
                spans, model = spans_of(mentions), spans_of(raw)
                for span in sorted(spans | gold | model):
                    if (span in spans) != (span in gold) or (span in model) != (span in spans):
                        marks = "".join(
                            letter if span in where else "-"
                            for letter, where in (("G", gold), ("M", model), ("R", spans))
                        )
                        around = text[max(0, span[0] - 30) : span[1] + 30].replace("\n", "⏎")
                        print(f"  {marks} {span[2]} {text[span[0] : span[1]]!r}   …{around}…")


if __name__ == "__main__":
    main(sys.argv[1:])
