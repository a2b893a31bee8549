"""Importing this loads all that a run loads at its first article, for processes to be forked."""

from __future__ import annotations

from killed_run import _warm_up

import pipelines.cli  # noqa: F401 - so that a run need not import it

MODELS = _warm_up()
