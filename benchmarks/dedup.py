"""How well copies are found, and how fast: ``python -m benchmarks.dedup``.

Decides several corpora with the project's own stages (fingerprints staged as blocks in a temporary
store, ``FindCandidates``, ``AssignCopies``, the local runner) and, in the same run, with datasketch
(MinHash of 128 permutations and MinHashLSH on the same three-word shingles; a cluster is a
connected component of what its queries find):

- ``reuters``: timestamped wires, whose near pairs were found exhaustively;
- ``plagiarised``: ten planted pairs among a thousand texts;
- ``rearrivals``: a week of items of known stories;
- ``variants``: generated articles, and what outlets, feeds and editors make of them;
- ``families``: generated texts that share much and are no copies (``benchmarks.variants``).

Exits with 1 if a value that is needed is missed. A corpus whose material is missing
(``../shared/data/dedup``) is skipped, saying so.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import itertools
import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import scipy.sparse
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.timestamp import Timestamp
from datasketch import MinHash, MinHashLSH

from benchmarks.variants import (
    GLUED,
    KINDS,
    Member,
    Text,
    base_articles,
    families,
    variants_of,
)
from pipelines.local import local_runner
from schemas.records import Article, Extraction, Fingerprint, PublicationDate, StagedBlock
from transforms.candidates import FindCandidates
from transforms.clusters import connected_components, settle_component
from transforms.deduplication import AssignCopies
from transforms.fingerprints import fingerprint_article
from transforms.likeness import (
    DEFAULT_THRESHOLD,
    ComparedText,
    compare,
    copy_kind,
    kind_of,
    likeness,
)
from transforms.shingles import normalised_words
from transforms.staging import ref_of, write_prints
from transforms.storage import LocalStore

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "dedup"
BLOCK_ROWS = 500
HORIZON_SECONDS = 7 * 24 * 3600
"""That of a run, by default."""
DAY_MICROS = 24 * 3600 * 1_000_000
VARIANT_DAYS = 3
RARE_SHINGLE_TEXTS = 400
"""What the exhaustive search for pairs passes over: a shingle of more texts than this."""
LEAST_RIGHT_JACCARD = 0.4
"""From which on a link between two wires is right; the set lists pairs from 0.5 on."""
MOST_SHOWN = 200
MOST_FALSE_JOINS = 0.001
"""Share of the pairs within families that may be joined: a form of which two issues happen to have
the same numbers is a copy by any rule."""
NEEDED = {
    "wire credit": 0.99, "update line": 0.99, "retitled": 0.99, "3 % exact": 0.99,
    "3 % chance": 0.99, "trimmed 80 %": 0.99, "10 % exact": 0.90, "10 % chance": 0.90,
    "trimmed 50 %": 0.95,
}  # fmt: skip

Clusters = Sequence[str]
"""For each text of a corpus, what names its cluster."""
Decide = Callable[[Sequence[Article]], Clusters]
Pair = tuple[int, int]
Links = npt.NDArray[np.int64]


# ── deciders ────────────────────────────────────────────────────────────────────────────────────


def _clusters(prints: Sequence[Fingerprint], canonical_ids: Mapping[int, str]) -> list[str]:
    """A text without a verdict is a work of its own."""
    return [
        canonical_ids.get(place, fingerprint.article_id) for place, fingerprint in enumerate(prints)
    ]


def decide_staged(articles: Sequence[Article], workers: int = 1) -> Clusters:
    """The clusters that the stages of a run decide."""
    prints = [fingerprint_article(article) for article in articles]
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(folder)
        blocks, places = [], {}
        for number, start in enumerate(range(0, len(prints), BLOCK_ROWS)):
            part = prints[start : start + BLOCK_ROWS]
            block = write_prints(store, "blocks", part)
            blocks.append(dataclasses.replace(block, kind="articles", number=number))
            places |= {ref_of(number, row): start + row for row in range(len(part))}
        verdicts = _verdicts(store, blocks, workers)
        return _clusters(prints, {places[ref]: name for ref, name in verdicts})


def _verdicts(
    store: LocalStore, blocks: Sequence[StagedBlock], workers: int
) -> Iterator[tuple[int, str]]:
    """(reference, canonical id) of each text with a verdict, from a run of the stages."""
    target = "verdicts"
    options = PipelineOptions(direct_num_workers=workers)
    with beam.Pipeline(runner=local_runner(workers), options=options) as pipeline:
        staged = pipeline | "Blocks" >> beam.Create(blocks).with_output_types(StagedBlock)
        no_rows = pipeline | "NoRows" >> beam.Create([]).with_output_types(tuple[str, int])
        texts = sum(block.rows for block in blocks)
        _ = (
            staged
            | "Whole"
            >> beam.Map(lambda block: (block, b"")).with_output_types(tuple[StagedBlock, bytes])
            | FindCandidates(store, "keys", texts, DEFAULT_THRESHOLD, HORIZON_SECONDS)
            | AssignCopies(store, staged, no_rows, DEFAULT_THRESHOLD)
            | beam.Map(lambda verdict: f"{verdict.ref} {verdict.canonical_id}")
            | beam.io.WriteToText(store.locate(target), num_shards=1, shard_name_template="")
        )
    for line in Path(store.locate(target)).read_text().splitlines():
        ref, canonical_id = line.split()
        yield int(ref), canonical_id


def pairs_sharing(prints: Sequence[Fingerprint]) -> Links:
    """Pairs that share a shingle which few others have, or all their words; exhaustive."""
    rows, columns = [], []
    for place, fingerprint in enumerate(prints):
        shingles = np.unique(np.frombuffer(fingerprint.shingles, "<u4"))
        columns.append(np.append(shingles, int(fingerprint.content_hash[:8], 16) + 2**32))
        rows.append(np.full(shingles.size + 1, place))
    row, column = np.concatenate(rows), np.concatenate(columns)
    _, column, holders = np.unique(column, return_inverse=True, return_counts=True)
    rare = (holders[column] > 1) & (holders[column] <= RARE_SHINGLE_TEXTS)
    held = scipy.sparse.csr_matrix(
        (np.ones(int(rare.sum()), np.int32), (row[rare], column[rare])),
        shape=(len(prints), holders.size),
    )
    shared = scipy.sparse.triu(held @ held.T, k=1).tocoo()
    sizes = np.array([len(fingerprint.shingles) // 4 for fingerprint in prints])
    # What shares less than a twentieth of the smaller text is no copy by any rule.
    least = np.minimum(sizes[shared.row], sizes[shared.col]) / 20
    close = shared.data >= np.maximum(1, least)
    return np.stack([shared.row[close], shared.col[close]], axis=1).astype(np.int64)


def decide_pure(articles: Sequence[Article]) -> Clusters:
    """The clusters by the rules alone: every pair is compared, and no horizon ends."""
    prints = [fingerprint_article(article) for article in articles]
    close = pairs_sharing(prints)
    texts = [ComparedText(fingerprint) for fingerprint in prints]
    linked = [
        bool(kind_of(one, other, compare(one, other), DEFAULT_THRESHOLD))
        for one, other in ((texts[left], texts[right]) for left, right in close.tolist())
    ]
    components: dict[int, list[int]] = defaultdict(list)
    for root, place in connected_components(close[linked]).tolist():
        components[root].append(place)
    places = {fingerprint.origin: place for place, fingerprint in enumerate(prints)}
    canonical_ids = {
        places[assignment.origin]: assignment.canonical_id
        for members in components.values()
        for assignment in settle_component([prints[place] for place in members], DEFAULT_THRESHOLD)
    }
    return _clusters(prints, canonical_ids)


def _kind(left: Fingerprint, right: Fingerprint) -> str:
    return copy_kind(left, right, DEFAULT_THRESHOLD)


def shingles_of(text: str) -> set[str]:
    """The runs of three words of a text."""
    words = normalised_words(text)
    return {" ".join(words[place : place + 3]) for place in range(len(words) - 2)}


def decide_datasketch(articles: Sequence[Article], threshold: float) -> Clusters:
    """The clusters by MinHash and MinHashLSH of datasketch, without verification."""
    index = MinHashLSH(threshold=threshold, num_perm=128)
    links = []
    for place, article in enumerate(articles):
        signature = MinHash(num_perm=128)
        signature.update_batch([shingle.encode() for shingle in shingles_of(article.body)])
        links += [(found, place) for found in index.query(signature)]
        index.insert(place, signature)
    components = connected_components(np.array(links, np.int64).reshape(-1, 2))
    roots = {place: root for root, place in components.tolist()}
    return [str(roots.get(place, place)) for place in range(len(articles))]


# ── scores ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Score:
    """Pairs found, and pairs that should have been."""

    right: int
    found: int
    wanted: int

    @property
    def precision(self) -> float:
        """Share of what was found that is right; 1 where nothing was."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of what is wanted that was found."""
        return self.right / self.wanted if self.wanted else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def together(clusters: Clusters) -> Iterator[Pair]:
    """Every pair of texts in one cluster, the earlier first."""
    members: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(clusters):
        members[name].append(place)
    for places in members.values():
        yield from itertools.combinations(places, 2)


def score_pairs(found: set[Pair], wanted: set[Pair]) -> Score:
    """Pairs against the pairs that are wanted."""
    return Score(len(found & wanted), len(found), len(wanted))


def recall_by_kind(
    clusters: Clusters, kinds: Sequence[tuple[str, tuple[int, ...]]]
) -> dict[str, tuple[int, int]]:
    """For each kind of variant: how many are in the cluster of a base, and how many there are.

    ``kinds`` says for each text its kind and the places of its bases; a base has none.
    """
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for place, (kind, bases) in enumerate(kinds):
        if bases:
            counts[kind][0] += any(clusters[place] == clusters[base] for base in bases)
            counts[kind][1] += 1
    return {kind: (joined, all_) for kind, (joined, all_) in counts.items()}


def wrong_pairs(clusters: Clusters, members: Sequence[Member]) -> Iterator[Pair]:
    """Pairs of members of families in one cluster.

    Two bare notices of different families may well be one text in two versions: they do not count.
    """
    for left, right in together(clusters):
        if not (members[left].bare and members[right].bare):
            yield left, right


def false_joins(clusters: Clusters, members: Sequence[Member]) -> Counter[str]:
    """How many wrong pairs there are in each family, and ``across`` two."""
    joins: Counter[str] = Counter()
    for left, right in wrong_pairs(clusters, members):
        family = members[left].family
        joins[family if family == members[right].family else "across"] += 1
    return joins


# ── corpora ─────────────────────────────────────────────────────────────────────────────────────


def rows(name: str) -> Iterator[dict[str, Any]]:
    """The rows of a file of the shared material."""
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def article(origin: str, text: Text, observed_at: Timestamp, **fields: Any) -> Article:
    """An article as it leaves extraction."""
    extraction = Extraction("benchmark", "", 1.0, "utf-8")
    return Article(
        origin, origin, origin, text.body, observed_at, extraction, title=text.title or None,
        **fields,
    )  # fmt: skip


def arriving(texts: Sequence[Text], seed: int) -> list[Article]:
    """Texts at addresses of their own, observed at random times within ``VARIANT_DAYS``."""
    chance = random.Random(seed)
    first = Timestamp.from_rfc3339("2025-03-14T00:00:00Z").micros
    return [
        article(
            f"text-{place:06d}",
            text,
            Timestamp(micros=first + chance.randrange(VARIANT_DAYS * DAY_MICROS)),
            url=f"https://outlet-{chance.randrange(40)}.example/{place}",
        )
        for place, text in enumerate(texts)
    ]


class Bench:
    """Prints lines, and remembers what was missed."""

    def __init__(self, arguments: argparse.Namespace, decide: Decide) -> None:
        self.arguments = arguments
        self.missed: list[str] = []
        self._newsbeam = decide

    def deciders(self) -> Iterator[tuple[str, Decide]]:
        """newsbeam, and datasketch at two thresholds."""
        yield "newsbeam", self._newsbeam
        if not self.arguments.alone:
            for threshold in (0.5, 0.7):
                yield f"datasketch {threshold}", partial(decide_datasketch, threshold=threshold)

    def decide(self, articles: Sequence[Article]) -> Iterator[tuple[str, Clusters, float]]:
        """Each decider's name, clusters and seconds, fingerprints included."""
        for name, decide in self.deciders():
            began = time.perf_counter()
            clusters = decide(articles)
            yield name, clusters, time.perf_counter() - began

    def need(self, name: str, what: str, value: float, least: float) -> None:
        """Note a value of newsbeam's that is below what is needed."""
        if name == "newsbeam" and value < least:
            self.missed.append(f"{what}: {value:.4f}, needed {least}")


_HEAD = f"{'':34}{'precision':>10}{'recall':>8}{'F1':>8}{'seconds':>9}"


def _line(label: str, score: Score, seconds: float) -> str:
    return (
        f"{label:34}{score.precision:10.4f}{score.recall:8.4f}{score.f1:8.4f}{seconds:9.1f}"
        f"   {score.right} right, {score.found} found, {score.wanted} wanted"
    )


def reuters(bench: Bench) -> None:
    """Wires: pairs within 24 hours by their Jaccard similarity."""
    articles, truth = _wires()
    print(f"\nreuters: {len(articles):,} wires, pairs within 24 hours\n{'':10}{_HEAD}")
    prints = [fingerprint_article(one) for one in articles]

    for name, clusters, seconds in bench.decide(articles):
        near = {pair for pair in together(clusters) if _micros_apart(prints, pair) <= DAY_MICROS}
        kind = {pair: _kind(*(prints[place] for place in pair)) for pair in near}
        links = {
            "verified links": {pair for pair in near if kind[pair]},
            "near and exact links": {pair for pair in near if kind[pair] in ("near", "exact")},
            "all in a cluster": near,
        }
        if name != "newsbeam":
            links = {"all in a cluster": near}
        for least, needed in ((0.8, 0.99), (0.5, 0.95)):
            wanted = {pair for pair, jaccard in truth.items() if jaccard >= least}
            recall = len(wanted & near) / len(wanted)
            bench.need(name, f"reuters, pairs ≥ {least}: recall", recall, needed)
            for label, pairs in links.items():
                right = sum(_jaccard(prints, pair) >= LEAST_RIGHT_JACCARD for pair in pairs)
                precision = right / len(pairs) if pairs else 1.0
                f1 = 2 * precision * recall / (precision + recall or 1)
                print(
                    f"{f'{name}, ≥ {least}, {label}':44}{precision:10.4f}{recall:8.4f}{f1:8.4f}"
                    f"{seconds:9.1f}   {len(wanted & near)} of {len(wanted)} wanted,"
                    f" {len(pairs) - right} of {len(pairs)} below {LEAST_RIGHT_JACCARD}"
                )
                if label == "near and exact links":
                    bench.need(name, f"reuters, {label}: precision", precision, 0.95)
        if bench.arguments.verbose and name == "newsbeam":
            for pair in sorted(set(truth) - near):
                _show("missed", prints, *pair)
            for pair in sorted(near):
                if _jaccard(prints, pair) < LEAST_RIGHT_JACCARD:
                    _show(f"below {LEAST_RIGHT_JACCARD}", prints, *pair)


def _wires() -> tuple[list[Article], dict[Pair, float]]:
    """Wires, and the Jaccard similarity of their near pairs within 24 hours."""
    articles, place_of_id = [], {}
    for row in rows("reuters_docs.jsonl.gz"):
        if normalised_words(row["body"]):  # a headline without a body is no text to compare
            place_of_id[row["id"]] = len(articles)
            observed_at = Timestamp.from_rfc3339(row["observed_at"] + "Z")
            text = Text(row["title"] or "", row["body"])
            articles.append(article(f"{row['id']:06d}", text, observed_at))
    truth = {}
    for row in rows("reuters_pairs.jsonl.gz"):
        if row["hours_apart"] <= 24:
            left, right = sorted((place_of_id[row["a"]], place_of_id[row["b"]]))
            truth[left, right] = row["jaccard"]
    return articles, truth


def _micros_apart(prints: Sequence[Fingerprint], pair: Pair) -> int:
    left, right = (prints[place].observed_at.micros for place in pair)
    return abs(left - right)


def _jaccard(prints: Sequence[Fingerprint], pair: Pair) -> float:
    left, right = (set(np.frombuffer(prints[place].shingles, "<u4").tolist()) for place in pair)
    return len(left & right) / (len(left | right) or 1)


def _show(what: str, prints: Sequence[Fingerprint], left: int, right: int) -> None:
    a, b = prints[left], prints[right]
    alike = likeness(a, b)
    print(
        f"    {what}: {a.origin} and {b.origin}, {a.word_count} and {b.word_count} words, jaccard"
        f" {alike.jaccard:.3f}, containment {alike.containment:.3f},"
        f" kind {_kind(a, b) or 'none'}"
    )


def plagiarised(bench: Bench) -> None:
    """Ten planted pairs."""
    articles, place_of_id = [], {}
    for row in rows("plagiarised_docs.jsonl.gz"):
        place_of_id[row["id"]] = len(articles)
        articles.append(article(row["id"], Text("", row["body"]), Timestamp(0)))
    wanted = {
        tuple(sorted((place_of_id[row["a"]], place_of_id[row["b"]])))
        for row in rows("plagiarised_pairs.jsonl.gz")
    }
    print(f"\nplagiarised: {len(articles):,} texts\n{_HEAD}")
    _score_all(bench, "plagiarised", articles, wanted)


def rearrivals(bench: Bench) -> None:
    """Items of a week, by story; the canonical URL is an identity, too."""
    articles, story = [], []
    for row in rows("rearrivals.jsonl.gz"):
        at = Timestamp.from_rfc3339(row["published_at"])
        # Some sources give a title and no words beside; it stands for the text.
        body = row.get("body_text", "")
        text = Text(row["title"], body if normalised_words(body) else row["title"])
        origin = f"{row['source']}#{len(articles):04d}"
        fields = {
            "url": row["canonical_url"],
            "canonical_url": row["canonical_url"],
            "site": row["source_domain"],
            "published": PublicationDate(at, "second", "feed"),
        }
        articles.append(article(origin, text, at, **fields))
        story.append(row["story"])
    wanted = set(together(story))
    print(f"\nrearrivals: {len(articles):,} items of {len(set(story)):,} stories\n{_HEAD}")
    _score_all(bench, "rearrivals", articles, wanted)


def _score_all(bench: Bench, what: str, articles: Sequence[Article], wanted: set[Pair]) -> None:
    for name, clusters, seconds in bench.decide(articles):
        found = set(together(clusters))
        score = score_pairs(found, wanted)
        print(_line(name, score, seconds))
        if bench.arguments.verbose and name == "newsbeam":
            prints = [fingerprint_article(one) for one in articles]
            for pair in sorted(wanted - found):
                _show("missed", prints, *pair)
            for pair in sorted(found - wanted):
                _show("wrong", prints, *pair)


def variants(bench: Bench) -> None:
    """Generated articles and what becomes of them."""
    bases = base_articles(bench.arguments.bases)
    made = list(variants_of(bases))
    kinds = [("base", ())] * len(bases) + [(one.kind, one.bases) for one in made]
    articles = arriving([*bases, *(one.text for one in made)], seed=4)
    whole = [bases_ or (place,) for place, (_, bases_) in enumerate(kinds)]
    single = [place for place, (kind, _) in enumerate(kinds) if kind != GLUED]
    wanted = {(left, right) for left, right in together([str(whole[place][0]) for place in single])}
    print(f"\nvariants: {len(made):,} of {len(bases)} articles (glued ones apart)\n{_HEAD}")
    recalls: dict[str, dict[str, tuple[int, int]]] = {}
    for name, clusters, seconds in bench.decide(articles):
        found = set(together([clusters[place] for place in single]))
        print(_line(name, score_pairs(found, wanted), seconds))
        merges = sum(1 for _ in together(clusters[: len(bases)]))
        print(f"    base articles merged: {merges} pairs")
        if name == "newsbeam" and merges:
            bench.missed.append(f"variants: {merges} pairs of base articles merged")
        recalls[name] = recall_by_kind(clusters, kinds)
        if name == "newsbeam":
            for kind, least in NEEDED.items():
                joined, all_ = recalls[name][kind]
                bench.need(name, f"variants, {kind}: recall", joined / all_, least)
            if bench.arguments.verbose:
                _show_variants(articles, clusters, kinds)
    _print_recalls(recalls, _linked_shares(articles, kinds))


def _linked_shares(
    articles: Sequence[Article], kinds: Sequence[tuple[str, tuple[int, ...]]]
) -> dict[str, float]:
    """By kind, the share of variants that are linked with a base of theirs, whatever is decided.

    What is linked and yet not found is for the rules of clusters to explain.
    """
    prints = [fingerprint_article(one) for one in articles]
    linked: dict[str, list[bool]] = defaultdict(list)
    for place, (kind, bases) in enumerate(kinds):
        if bases:
            linked[kind].append(any(_kind(prints[base], prints[place]) for base in bases))
    return {kind: sum(found) / len(found) for kind, found in linked.items()}


def _print_recalls(
    recalls: Mapping[str, Mapping[str, tuple[int, int]]], linked: Mapping[str, float]
) -> None:
    names = "".join(f"{name:>16}" for name in recalls)
    print(f"\n{'recall by kind':16}{'needed':>8}{names}{'(linked alone)':>16}")
    for kind in (*KINDS, GLUED):
        shares = [joined / all_ for joined, all_ in (by[kind] for by in recalls.values())]
        needed = f"{NEEDED[kind]:.2f}" if kind in NEEDED else ""
        columns = "".join(f"{share:16.4f}" for share in (*shares, linked[kind]))
        print(f"{kind:16}{needed:>8}{columns}")


def _show_variants(
    articles: Sequence[Article],
    clusters: Clusters,
    kinds: Sequence[tuple[str, tuple[int, ...]]],
) -> None:
    prints = [fingerprint_article(one) for one in articles]
    for place, (kind, bases) in enumerate(kinds):
        if bases and not any(clusters[place] == clusters[base] for base in bases):
            for base in bases:
                _show(f"missed, {kind}", prints, base, place)
    for left, right in together(clusters):
        ours, theirs = (kinds[one][1] or (one,) for one in (left, right))
        if not set(ours) & set(theirs):
            _show(f"merged, {kinds[left][0]} and {kinds[right][0]}", prints, left, right)


def must_not_join(bench: Bench) -> None:
    """Families of texts that are no copies of each other."""
    members = list(families())
    articles = arriving([member.text for member in members], seed=5)
    names = [member.family for member in members]
    size = Counter(names)
    kind_of = {member.family: member.kind for member in members}
    print(f"\nfamilies: {len(members):,} texts of {len(size)} families, none a copy")
    joins: dict[str, Counter[str]] = {}
    for name, clusters, seconds in bench.decide(articles):
        joins[name] = false_joins(clusters, members)
        print(f"{name:34}{sum(joins[name].values()):6} false joins{seconds:9.1f} seconds")
        if name == "newsbeam" and bench.arguments.verbose:
            prints = [fingerprint_article(one) for one in articles]
            for left, right in itertools.islice(wrong_pairs(clusters, members), MOST_SHOWN):
                _show(f"joined, {names[left]}, {names[right]}", prints, left, right)
    pairs = Counter()
    for family, members_ in size.items():
        pairs[kind_of[family]] += members_ * (members_ - 1) // 2
    print(f"\n{'false joins':22}{'pairs':>8}" + "".join(f"{name:>16}" for name in joins))
    for kind in [*pairs, "across"]:
        counts = [
            sum(count for family, count in by.items() if kind_of.get(family, family) == kind)
            for by in joins.values()
        ]
        print(f"{kind:22}{pairs[kind]:8,}" + "".join(f"{count:16,}" for count in counts))
    wrong = sum(joins["newsbeam"].values())
    if wrong > MOST_FALSE_JOINS * sum(pairs.values()):
        bench.missed.append(f"families: {wrong} false joins")


CORPORA: dict[str, Callable[[Bench], None]] = {
    "reuters": reuters,
    "plagiarised": plagiarised,
    "rearrivals": rearrivals,
    "variants": variants,
    "families": must_not_join,
}
SHARED = ("reuters", "plagiarised", "rearrivals")


def main(arguments: Sequence[str] | None = None, decide: Decide | None = None) -> int:
    """Run the benchmark, of ``decide`` if given; 1 if a needed value is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(CORPORA), help="corpora, separated by commas")
    parser.add_argument("--bases", type=int, default=320, help="base articles of the variants")
    parser.add_argument("--workers", type=int, default=1, help="worker processes of newsbeam")
    parser.add_argument("--alone", action="store_true", help="without datasketch")
    parser.add_argument("--pure", action="store_true", help="the rules on all pairs, no pipeline")
    parser.add_argument("--verbose", action="store_true", help="list what was missed and joined")
    given = parser.parse_args(arguments)
    if decide is None:
        decide = decide_pure if given.pure else partial(decide_staged, workers=given.workers)
    bench = Bench(given, decide)
    for name in given.only.split(","):
        if name in SHARED and not DATA.is_dir():
            print(f"skipped: the material for {name} is not at {DATA.name}")
            continue
        CORPORA[name](bench)
    if bench.missed:
        print("\nmissed what is needed:\n    " + "\n    ".join(bench.missed))
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
