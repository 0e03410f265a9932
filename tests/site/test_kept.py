"""Settings over a restart (modbus.md, Types: "Kept over a restart")."""

from __future__ import annotations

from gatewayd.site import kept
from gatewayd.site.journal import SaveFact
from tests.kit import Kit

GATEWAY = {12: 60, 14: 2, 15: 99, 17: 45, 18: 3}
CHARGE_POINT = {3016: 0, 3017: 0}
CONNECTOR = {3600 + 16: 0, 3600 + 17: 0, 3600 + 102: 1, 3600 + 103: 2}
THIRTY_TWO = {50: 22_000, 3600 + 100: 110_000, 3600 + 146: 40_000}
TAG = 3600 + 108


def facts_of(kit: Kit) -> dict[str, int | str]:
    return {entry.name: entry.value for entry in kit.site.journal.take(kit.now) if isinstance(entry, SaveFact)}


def test_everything_promised_comes_back() -> None:
    kit = Kit()
    for address, value in (GATEWAY | CHARGE_POINT | CONNECTOR).items():
        kit.write(address, value)
    for address, value in THIRTY_TWO.items():
        kit.write_32(address, value)
    kit.write_text(TAG, "CARD7", 10)
    kit.run_for(1)
    facts = facts_of(kit)
    again = Kit()
    kept.restore(again.site, facts)
    again.units.tick()
    for address, value in (GATEWAY | CHARGE_POINT | CONNECTOR).items():
        assert again.read(address) == value, address
    for address, value in THIRTY_TWO.items():
        assert again.read_32(address) == value, address
    assert again.read_text(TAG, 10) == "CARD7"
    assert again.read(3600 + 118) == 65_535  # the limit is one in W, as it was


def test_only_what_was_changed_is_written() -> None:
    kit = Kit()
    kept.restore(kit.site, {})
    kit.site.journal.take(kit.now)
    kit.write(3316, 0)
    kit.run_for(1)
    assert facts_of(kit) == {"1/1/enable": 0}


def test_what_the_ledger_holds_already_is_not_written_again() -> None:
    kit = Kit()
    kept.restore(kit.site, {"1/1/enable": 0, "site/watchdog_limit": 99})
    kit.write(3316, 0)
    kit.write(15, 99)
    kit.run_for(20)
    assert facts_of(kit) == {}


def test_facts_that_do_not_fit_are_left_out() -> None:
    kit = Kit()
    kept.restore(
        kit.site,
        {"site/decision_default": 99, "1/1/start_id_tag": 7, "1/1/enable": "no", "9/1/enable": 0, "site/what": 1},
    )
    assert kit.read(18) == 2
    assert kit.read_text(3300 + 108, 10) == ""
    assert kit.read(3316) == 1


def test_every_kept_setting_has_a_name_of_its_own() -> None:
    kit = Kit("".join(f'[[charge_point]]\nnumber = {n}\nidentity = "CP{n}"\nconnectors = 7\n' for n in (1, 11, 17)))
    names = [f"{kept.prefix(record)}/{attribute}" for record in kept.records(kit.site)
             for attribute in kept.KEPT[type(record)]]  # fmt: skip
    assert len(names) == len(set(names))
