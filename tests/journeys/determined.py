"""Chance from a seed, all of it: the same seed gives the same run, in any process, to the byte."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import trio


@contextmanager
def determined(seed: int) -> Iterator[None]:
    """Inside, a trio run has no chance of its own: message ids, masks and pings, and the order in which trio lets
    tasks run that are ready at the same instant. That order still varies with the seed, as it does in the world."""
    source = random.Random(f"chance/{seed}")
    run: Any = trio._core._run
    scheduler, deterministic = run._r.getstate(), run._ALLOW_DETERMINISTIC_SCHEDULING
    everybody = random.getstate()
    run._r.seed(seed)
    run._ALLOW_DETERMINISTIC_SCHEDULING = True  # sorted before they are shuffled: what trio has for hypothesis
    random.seed(seed)
    try:
        with patch.object(os, "urandom", source.randbytes), patch.object(random, "_urandom", source.randbytes):
            yield
    finally:
        run._r.setstate(scheduler)
        run._ALLOW_DETERMINISTIC_SCHEDULING = deterministic
        random.setstate(everybody)
