"""Texts of random words, and blocks of their fingerprints, as a slice of a run leaves them."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from schemas.records import Fingerprint, StagedBlock
from transforms.staging import write_prints
from transforms.storage import LocalStore

VOCABULARY = [f"word{number}" for number in range(3_000)]


def story(seed: int, words: int = 300) -> list[str]:
    """The words of a text; another seed gives a text that shares nothing with it."""
    chance = random.Random(seed)
    return [chance.choice(VOCABULARY) for _ in range(words)]


def staged(store: LocalStore, prints: Sequence[Fingerprint], number: int) -> StagedBlock:
    """A block of texts of the run."""
    block = write_prints(store, "blocks", prints)
    return dataclasses.replace(block, kind="articles", number=number)
