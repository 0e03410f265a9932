"""What an interface has, from `ip -json` as iproute2 6.1 prints it, and the commands that make it right."""

from ipaddress import IPv4Address, IPv4Interface

import pytest

from hal.addressing import Interface, parse, repairs

LINK = """[{"ifindex":2,"ifname":"eth0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1500,"operstate":"UP",
"address":"02:00:00:00:aa:01","addr_info":[
{"family":"inet","local":"10.9.0.100","prefixlen":24,"broadcast":"10.9.0.255","scope":"global","label":"eth0"},
{"family":"inet","local":"169.254.3.4","prefixlen":16,"scope":"link","label":"eth0"},
{"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link"}]}]"""
ROUTES = """[{"dst":"default","gateway":"10.9.0.2","protocol":"boot","flags":[]},
{"dst":"default","gateway":"10.9.0.1","protocol":"static","prefsrc":"10.9.0.100","metric":100,"flags":[]}]"""

LEASED, FALLBACK = IPv4Interface("10.9.0.100/24"), IPv4Interface("192.168.100.246/24")
ROUTER = IPv4Address("10.9.0.1")


def test_parse() -> None:
    assert parse(LINK, ROUTES) == Interface(True, (LEASED,), ROUTER)
    assert parse(LINK.replace('"MULTICAST","UP",', ""), "") == Interface(False, (LEASED,), None)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[{}]", '[{"flags":["UP"],"addr_info":[{"family":"inet"}]}]x', "nonsense"]
)
def test_what_is_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text, "[]")


def test_as_wanted_needs_nothing() -> None:
    assert repairs("eth0", Interface(True, (LEASED,), ROUTER), [LEASED], ROUTER) == []
    assert repairs("eth0", Interface(True), [], None) == []


def test_from_nothing() -> None:
    assert [" ".join(command) for command in repairs("eth0", Interface(False), [LEASED], ROUTER)] == [
        "link set dev eth0 up",
        "addr add 10.9.0.100/24 broadcast + dev eth0 scope global",
        "route replace default via 10.9.0.1 dev eth0 metric 100 proto static src 10.9.0.100",
    ]


def test_new_addresses_come_before_old_ones_go() -> None:
    has = Interface(True, (FALLBACK,))
    commands = repairs("eth0", has, [LEASED], ROUTER)
    assert [command[:2] for command in commands] == [["addr", "add"], ["addr", "del"], ["route", "replace"]]


def test_the_fallback_goes_and_the_route_is_said_again() -> None:
    commands = repairs("eth0", Interface(True, (FALLBACK, LEASED), ROUTER), [LEASED], ROUTER)
    assert commands[0] == ["addr", "del", "192.168.100.246/24", "dev", "eth0"]
    assert commands[1][:5] == ["route", "replace", "default", "via", "10.9.0.1"]


def test_the_route_of_a_lease_that_ended_goes_with_its_address() -> None:
    commands = repairs("eth0", Interface(True, (LEASED,), ROUTER), [FALLBACK], None)
    assert [command[:2] for command in commands] == [["addr", "add"], ["addr", "del"]]
    commands = repairs("eth0", Interface(True, (LEASED,), ROUTER), [LEASED], None)
    assert commands == [["route", "del", "default", "dev", "eth0", "metric", "100", "proto", "static"]]


def test_a_router_outside_the_network() -> None:
    (command,) = repairs("eth0", Interface(True, (LEASED,)), [LEASED], IPv4Address("10.8.0.1"))
    assert command[-1] == "onlink"
