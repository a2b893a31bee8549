"""Verdicts on disk: what was decided about each text and failure of a run, block by block.

What is decided over all texts of a run is carried out slice by slice. A block's file holds a row
for each text that is not simply the only one of its kind: *set aside*, for the dataset has it; a
*verdict*; or, beside a canonical text, a *sibling*, which is a copy of it that may lie in another
block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from schemas.records import StagedBlock, Verdict
from transforms.staging import ArrowRows, block_and_row, ref_of, write_arrow
from transforms.storage import Store

_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("role", pa.string()),
        ("kind", pa.string()),
        ("ref", pa.int64()),
        ("canonical_id", pa.string()),
        ("similarity", pa.float64()),
        ("copies", pa.int64()),
        ("revision", pa.int64()),
        ("title_changed", pa.bool_()),
        ("shingles_kept", pa.float64()),
    ]
)


def stands_for_itself(verdict: Verdict) -> bool:
    """Whether a text gets a row of its own; if not, it is a copy."""
    return verdict.kind in ("canonical", "revision")


@dataclass(frozen=True)
class Sibling:
    """A copy of a canonical text."""

    kind: str
    ref: int


@dataclass
class BlockVerdicts:
    """What was decided about one block; a row that is nowhere in it stands for itself."""

    set_aside: set[int] = field(default_factory=set)
    """Rows that the dataset has: unchanged articles, recorded failures."""
    of_row: dict[int, Verdict] = field(default_factory=dict)
    siblings: dict[int, list[Sibling]] = field(default_factory=dict)
    """Copies in this run, by the row of their canonical text."""


def path_of_verdicts(folder: str, block: StagedBlock) -> str:
    """The file of a block's verdicts, relative to the store."""
    return f"{folder}/{block.number:06d}.verdicts.arrow"


def write_verdicts(
    store: Store,
    folder: str,
    block: StagedBlock,
    set_aside: Iterable[int],
    verdicts: Iterable[Verdict],
) -> None:
    """Write what concerns one block: verdicts of its texts, and of copies of its texts.

    Raises:
        OSError: if the store refuses.
    """
    rows: list[Mapping[str, object]] = [{"row": row, "role": "set-aside"} for row in set_aside]
    for verdict in verdicts:
        number, row = block_and_row(verdict.ref)
        if number == block.number:
            rows.append(
                {
                    "row": row,
                    "role": "verdict",
                    "kind": verdict.kind,
                    "ref": verdict.canonical_ref,
                    "canonical_id": verdict.canonical_id,
                    "similarity": verdict.similarity,
                    "copies": verdict.copies,
                    "revision": verdict.revision,
                    "title_changed": verdict.title_changed,
                    "shingles_kept": verdict.shingles_kept,
                }
            )
        if stands_for_itself(verdict) or verdict.canonical_ref < 0:
            continue  # another revision is no sibling: its title is not this one's
        number, row = block_and_row(verdict.canonical_ref)
        if number == block.number:
            rows.append({"row": row, "role": "sibling", "kind": verdict.kind, "ref": verdict.ref})
    ordered = sorted(rows, key=lambda row: (row["row"], row["role"], row.get("ref", -1)))
    write_arrow(store, path_of_verdicts(folder, block), _SCHEMA, ordered, "zstd")


def read_verdicts(store: Store, folder: str, block: StagedBlock) -> BlockVerdicts:
    """What ``write_verdicts`` wrote.

    Raises:
        OSError: if the store refuses.
    """
    found = BlockVerdicts()
    file = ArrowRows(store, path_of_verdicts(folder, block))
    try:
        rows = [row for batch in file.batches() for row in batch.to_pylist()]
    finally:
        file.close()
    for row in rows:
        if row["role"] == "set-aside":
            found.set_aside.add(row["row"])
        elif row["role"] == "sibling":
            found.siblings.setdefault(row["row"], []).append(Sibling(row["kind"], row["ref"]))
        else:
            found.of_row[row["row"]] = Verdict(
                ref=ref_of(block.number, row["row"]),
                kind=row["kind"],
                canonical_id=row["canonical_id"],
                similarity=row["similarity"],
                copies=row["copies"],
                canonical_ref=row["ref"],
                revision=row["revision"],
                title_changed=row["title_changed"],
                shingles_kept=row["shingles_kept"],
            )
    return found
