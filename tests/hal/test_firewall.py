"""The packet filter's rules as text; whether the kernel does what they say stands in tests/root."""

import re

from hal.firewall import ruleset


def served(rules: str) -> str | None:
    found = re.search(r"elements = \{ (.*) \}", rules)
    return found[1] if found else None


def test_the_open_ports_are_the_served_set() -> None:
    assert served(ruleset([8887, 443, 502, 443])) == "443, 502, 8887"
    assert served(ruleset([])) is None  # an empty set is none in nft's language


def test_all_is_replaced_at_once_and_nothing_but_our_table() -> None:
    rows = [row for row in ruleset([502]).splitlines() if not row.startswith("#")]
    assert rows[:3] == ["table inet gateway", "delete table inet gateway", "table inet gateway {"]
    assert "flush" not in ruleset([502])


def test_only_the_input_is_closed() -> None:
    policies = re.findall(r"hook (\w+) .*policy (\w+);", ruleset([502]))
    assert policies == [("prerouting", "accept"), ("output", "accept"), ("input", "drop")]
