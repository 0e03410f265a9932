"""The table of wishes: every wish, every caller, every field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.contract import EARLIEST_EPOCH_S, LATEST_EPOCH_S
from hal.wishes import MAX_WISH_BYTES, TABLE, Rates, Refused, Wish, parse_wish

GOOD: dict[str, dict[str, object]] = {
    "set_clock": {"epoch_s": 1_800_000_000},
    "apply_network": {"network": {"mode": "static", "address": "10.0.0.5/24"}},
}
LONGEST_NETWORK = {
    "mode": "static",
    "address": "192.168.100.200/24",
    "router": "192.168.100.254",
    "dns": ["192.168.100.200"] * 3,
    "ntp": ["n" * 60 + ".example.org"] * 3,
}


def line(name: str, **fields: object) -> bytes:
    return json.dumps({"wish": name, **GOOD.get(name, {}), **fields}).encode()


def ask(name: str, caller: str = "webd") -> Wish:
    return parse_wish(line(name), caller, has_file=TABLE[name].with_file)


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("caller", ["gatewayd", "webd", "root", "user 1000", ""])
def test_who_may_wish_what(name: str, caller: str) -> None:
    allowed = {"gatewayd": {"set_clock"}, "webd": set(TABLE), "root": set(TABLE)}
    if name in allowed.get(caller, set()):
        assert ask(name, caller).name == name
    else:
        with pytest.raises(Refused, match="may not wish that"):
            ask(name, caller)


@pytest.mark.parametrize("name", TABLE)
def test_a_field_too_many_too_few_or_a_file_that_does_not_belong(name: str) -> None:
    with_file = TABLE[name].with_file
    with pytest.raises(Refused, match="fields are"):
        parse_wish(line(name, extra=1), "webd", has_file=with_file)
    with pytest.raises(Refused, match="file belongs"):
        parse_wish(line(name), "webd", has_file=not with_file)
    if TABLE[name].fields:
        with pytest.raises(Refused, match="fields are"):
            parse_wish(json.dumps({"wish": name}).encode(), "webd", has_file=with_file)


@pytest.mark.parametrize("epoch", [EARLIEST_EPOCH_S, 1_800_000_000.5, LATEST_EPOCH_S - 1])
def test_a_time_that_can_be(epoch: float) -> None:
    assert parse_wish(line("set_clock", epoch_s=epoch), "gatewayd", has_file=False).epoch_s == epoch


@pytest.mark.parametrize(
    "epoch", [0, -1, EARLIEST_EPOCH_S - 1, LATEST_EPOCH_S, "now", None, True, [], float("nan"), float("inf"), 10**400]
)
def test_a_time_that_cannot(epoch: object) -> None:
    with pytest.raises(Refused, match="epoch_s"):
        parse_wish(line("set_clock", epoch_s=epoch), "gatewayd", has_file=False)


def test_a_network_is_validated_again() -> None:
    with pytest.raises(Refused, match=r"network\.address"):
        parse_wish(line("apply_network", network={"mode": "static"}), "webd", has_file=False)
    with pytest.raises(Refused, match="not a table"):
        parse_wish(line("apply_network", network="dhcp"), "webd", has_file=False)


def test_the_longest_wish_fits() -> None:
    assert len(line("apply_network", network=LONGEST_NETWORK)) < MAX_WISH_BYTES / 4


@pytest.mark.parametrize(
    "said", [b"", b"{}", b"[]", b"null", b'"reboot"', b'{"wish": 1}', b'{"wish": ["reboot"]}', b"\xff"]
)
def test_what_is_no_wish(said: bytes) -> None:
    with pytest.raises(Refused):
        parse_wish(said, "webd", has_file=False)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(Refused):
        parse_wish(b"[" * 100_000, "webd", has_file=False)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_any_line_is_a_wish_or_refused(said: bytes) -> None:
    with pytest.raises(Refused):
        parse_wish(said, "webd", has_file=False)


@pytest.mark.parametrize("name", TABLE)
def test_rates(name: str) -> None:
    rates = Rates()
    rates.take(name, 100.0)
    with pytest.raises(Refused, match="too often"):
        rates.take(name, 100.0 + TABLE[name].min_interval_s - 0.01)
    rates.take(name, 100.0 + TABLE[name].min_interval_s)


def test_every_rate_has_a_reason() -> None:
    assert all(row.why for row in TABLE.values() if row.min_interval_s not in (1.0, 60.0))
