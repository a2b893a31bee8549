"""Texts of made-up words without a digit or a capital, and what is made of them by editing."""

from __future__ import annotations

import random

WORDS = ["".join(chr(97 + int(digit)) for digit in str(number)) for number in range(1_000, 4_000)]


def story(seed: int, words: int = 300) -> list[str]:
    """The words of a text; another seed gives a text that shares nothing with it."""
    chance = random.Random(seed)
    return [chance.choice(WORDS) for _ in range(words)]


def replaced(words: list[str], share: float, seed: int = 7) -> list[str]:
    """The words with a share of them, one at least, replaced by others."""
    chance = random.Random(seed)
    places = set(chance.sample(range(len(words)), max(1, int(share * len(words)))))
    return [f"other{word}" if place in places else word for place, word in enumerate(words)]
