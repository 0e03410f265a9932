"""The `[network]` table: what passes, and what is refused under which key."""

from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.network_settings import NetworkSettings, parse

STATIC = {
    "mode": "static",
    "address": "192.168.1.20/24",
    "router": "192.168.1.1",
    "dns": ["192.168.1.1", "9.9.9.9"],
    "ntp": ["ntp.example.org", "192.168.1.9"],
}


def test_nothing_said_is_dhcp() -> None:
    assert parse({}) == NetworkSettings("dhcp")


def test_static() -> None:
    settings = parse(STATIC)
    assert settings.address == IPv4Interface("192.168.1.20/24")
    assert settings.router == IPv4Address("192.168.1.1")
    assert settings.ntp == ("ntp.example.org", "192.168.1.9")


def test_as_many_time_servers_as_the_configuration_allows() -> None:
    assert len(parse({"ntp": ["a.example", "b.example", "c.example", "d.example"]}).ntp) == 4


def test_static_keys_do_not_matter_under_dhcp() -> None:
    assert parse({"mode": "dhcp", "address": "nonsense", "router": "nonsense"}) == NetworkSettings("dhcp")


def test_static_without_a_router() -> None:
    assert parse({"mode": "static", "address": "10.0.0.5/8"}).router is None
    assert parse({"mode": "static", "address": "10.0.0.5/8", "router": ""}).router is None


@pytest.mark.parametrize("table", [{}, STATIC, {"mode": "dhcp", "dns": ["9.9.9.9"]}])
def test_round_trip(table: dict[str, object]) -> None:
    settings = parse(table)
    assert parse(settings.to_table()) == settings


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"mode": "auto"}, "mode"),
        ({"mode": 1}, "mode"),
        ({"address": ""}, "address"),
        ({"address": "192.168.1.20"}, "address"),
        ({"address": "192.168.1.0/24"}, "address"),
        ({"address": "192.168.1.255/24"}, "address"),
        ({"address": "192.168.1.300/24"}, "address"),
        ({"address": "192.168.1.20/31"}, "address"),
        ({"address": "192.168.1.20/0"}, "address"),
        ({"address": "127.0.0.1/8"}, "address"),
        ({"address": "224.0.0.1/24"}, "address"),
        ({"address": "0.0.0.1/8"}, "address"),
        ({"address": "fe80::1/64"}, "address"),
        ({"address": 5}, "address"),
        ({"router": "192.168.2.1"}, "router"),
        ({"router": "192.168.1.20"}, "router"),
        ({"router": "gateway"}, "router"),
        ({"router": 7}, "router"),
        ({"dns": "9.9.9.9"}, "dns"),
        ({"dns": ["one"]}, "dns"),
        ({"dns": [1]}, "dns"),
        ({"dns": ["9.9.9.9"] * 4}, "dns"),
        ({"ntp": ["ntp.example.org"] * 5}, "ntp"),
        ({"ntp": ["a b"]}, "ntp"),
        ({"ntp": ["-x"]}, "ntp"),
        ({"ntp": ["time.example\nserver evil"]}, "ntp"),
        ({"ntp": ["x" * 300]}, "ntp"),
        ({"gateway": "192.168.1.1"}, "gateway"),
    ],
)
def test_refusals_name_the_key(change: dict[str, object], key: str) -> None:
    with pytest.raises(ValueError, match=rf"^network\.{key}: "):
        parse(STATIC | change)


@pytest.mark.parametrize("table", [None, [], "dhcp", 5])
def test_what_is_no_table(table: object) -> None:
    with pytest.raises(ValueError, match="not a table"):
        parse(table)


@given(
    st.dictionaries(st.sampled_from([*STATIC, "other"]), st.text() | st.integers() | st.lists(st.text(), max_size=4))
)
def test_any_table_is_settings_or_a_refusal(table: dict[str, object]) -> None:
    try:
        settings = parse(table)
    except ValueError as why:
        refusal = str(why)
    else:
        refusal = "network."
        assert parse(settings.to_table()) == settings
    assert refusal.startswith("network.")
