"""Whether what is found after a cut is what was promised: wholly old or wholly new (R1), erased for good (R24)."""

from __future__ import annotations

from tests.powercut.boot import Found
from tests.powercut.deeds import Content, Moment

SECRETS_LEFT = "the old owner's secrets are left"


def fault(moment: Moment, found: Found) -> str:
    """What is wrong with it; empty: nothing."""
    if found.fault:
        return found.fault
    content = found.content
    if not any(_same(content, allowed) for allowed in moment.allowed):
        return _difference(content, moment)
    if moment.erased and found.canaries and not untouched(moment, found):
        return SECRETS_LEFT
    return ""


def untouched(moment: Moment, found: Found) -> bool:
    """The reset was cut before its first mark was safe: everything is as it was, and nobody was told otherwise."""
    return moment.deed == "reset" and _same(found.content, moment.before) and moment.before.configuration is not None


def _same(found: Content, allowed: Content) -> bool:
    if allowed.configuration is None:
        return found.configuration is None
    return found == allowed


def _difference(found: Content, moment: Moment) -> str:
    known = {each.configuration: each for each in moment.allowed}
    if found.configuration is None:
        return "the configuration is missing"
    if found.configuration not in known:
        gone = all(each.configuration is None for each in moment.allowed)
        return "what was said to be gone is there" if gone else "the configuration is neither the old nor the new one"
    return "old and new files are mixed"
