"""The names and addresses in the gateway's certificate."""

from __future__ import annotations

import ipaddress
import socket

import ifaddr

from gatewayd.services.own_names import ALWAYS, NAMES_MAX, own_names


def test_every_way_to_dial_this_machine_is_there() -> None:
    names = own_names("plant-room-1", "10.9.8.7", "Gateway.Example")
    host = socket.gethostname().lower()
    assert {*ALWAYS, host, f"{host.partition('.')[0]}.local", "plant-room-1", "10.9.8.7", "gateway.example"} <= set(
        names
    )
    addresses = [each.ip for adapter in ifaddr.get_adapters() for each in adapter.ips if each.is_IPv4]
    assert {str(address) for address in addresses} <= set(names)
    assert names == sorted(set(names))


def test_what_no_host_can_be_called_is_left_out() -> None:
    odd = [
        "",
        " ",
        "Plant Room",
        "röntgen",
        "-x",
        "x-",
        "a..b",
        "x" * 64,
        "0.0.0.0",
        "::",
        "fe80::1",
        "224.0.0.1",
        "a_b",
    ]
    assert own_names(*odd) == own_names()


def test_nothing_that_others_cannot_dial() -> None:
    for name in own_names("fe80::1"):
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            continue
        assert not (address.version == 6 and address.is_link_local)


def test_there_are_never_more_than_a_certificate_takes() -> None:
    assert len(own_names(*(f"name-{number}" for number in range(200)))) == NAMES_MAX
