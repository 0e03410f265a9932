"""The rules between keys: each with the file that breaks it, the line of the fault, and its good neighbour."""

import pytest

from gatewayd.config import ConfigError, parse
from gatewayd.quirks import names

BRIDGE = '[gateway]\nrole = "bridge"\n'
UPSTREAM = '[ocpp.upstream]\nurl = "ws://central/ocpp"\n'
STATIC = '[network]\nmode = "static"\n'


def charge_point(number: int, *more: str, identity: str = "") -> str:
    return "\n".join(["[[charge_point]]", f"number = {number}", f'identity = "{identity or f"CP{number}"}"', *more, ""])


def lines(text: str) -> list[str]:
    """The faults of a file as a user reads them; none when it is good."""
    try:
        parse(text, "f.toml")
    except ConfigError as error:
        return str(error).split("\n")
    return []


KNOWN = ", ".join(sorted(names()))
BROKEN = [
    (
        charge_point(3) + charge_point(3, identity="B"),
        ["f.toml: charge_point[2].number: 3 is already the number of charge_point[1]"],
    ),
    (
        charge_point(1, identity="A") + charge_point(2, identity="A"),
        ['f.toml: charge_point[2].identity: "A" is already the identity of charge_point[1] (charge point number 2)'],
    ),
    (
        '[[slot]]\nnumber = 5\nurl = "ftp://x/"\n' * 3,
        [
            "f.toml: slot[2].number: 5 is already the number of slot[1]",
            "f.toml: slot[3].number: 5 is already the number of slot[1]",
        ],
    ),
    (
        charge_point(9, 'profile = "standrad"'),
        [
            (
                f'f.toml: charge_point[1].profile: "standrad" is no quirk profile; known: {KNOWN}; '
                'did you mean "standard"? (charge point number 9)'
            )
        ],
    ),
    (
        "[modbus]\nunit_id = 247\n" + charge_point(21),
        ["f.toml: modbus.unit_id: charge points up to number 21 need 2 banks, unit ids 247..248; 247 is the highest"],
    ),
    (
        "[modbus.rtu]\nunit_id = 246\n" + charge_point(41),
        [
            (
                "f.toml: modbus.rtu.unit_id: charge points up to number 41 need 3 banks, unit ids 246..248; "
                "247 is the highest"
            )
        ],
    ),
    (
        "[modbus]\ncharge_point_units = 246\n" + charge_point(1) + charge_point(2) + charge_point(3),
        ["f.toml: modbus.charge_point_units: gives charge point 2 the unit id 248; 247 is the highest"],
    ),
    (
        "[modbus]\nunit_id = 101\ncharge_point_units = 100\n" + charge_point(1),
        ["f.toml: modbus.charge_point_units: gives charge point 1 the unit id 101, a bank's by modbus.unit_id = 101"],
    ),
    (
        "[modbus]\nunit_id = 104\ncharge_point_units = 100\n" + charge_point(5) + charge_point(21),
        ["f.toml: modbus.charge_point_units: gives charge point 5 the unit id 105, a bank's by modbus.unit_id = 104"],
    ),
    (
        "[modbus]\ncharge_point_units = 100\n[modbus.rtu]\nunit_id = 102\n" + charge_point(2),
        [
            (
                "f.toml: modbus.charge_point_units: gives charge point 2 the unit id 102, "
                "a bank's by modbus.rtu.unit_id = 102"
            )
        ],
    ),
    (
        '[modbus.rtu]\nparity = "even"\nstop_bits = 2\n',
        ['f.toml: modbus.rtu.stop_bits: must be 1 with parity "even": a character on the line has 11 bits at most'],
    ),
    (
        BRIDGE,
        ['f.toml: ocpp.upstream.url: is missing: [gateway] role = "bridge" needs the URL of its central system'],
    ),
    (
        BRIDGE + charge_point(1) + charge_point(2, 'upstream_url = "ws://other/"'),
        ['f.toml: ocpp.upstream.url: is missing: [gateway] role = "bridge" needs the URL of its central system'],
    ),
    (
        charge_point(7, 'role = "bridge"') + charge_point(8),
        [
            (
                'f.toml: charge_point[1].upstream_url: is missing: role = "bridge" needs it here '
                "or in [ocpp.upstream] url (charge point number 7)"
            )
        ],
    ),
    (
        BRIDGE + UPSTREAM + charge_point(1, 'upstream_identity = "X"') + charge_point(2, 'upstream_identity = "X"'),
        [
            (
                'f.toml: charge_point[2].upstream_identity: "X" is already the name of charge_point[1] '
                "at the same central system (charge point number 2)"
            )
        ],
    ),
    (
        BRIDGE
        + UPSTREAM
        + charge_point(1)
        + charge_point(2, 'upstream_identity = "CP1"', 'upstream_url = "ws://central/ocpp/"'),
        [
            (
                'f.toml: charge_point[2].upstream_identity: "CP1" is already the name of charge_point[1] '
                "at the same central system (charge point number 2)"
            )
        ],
    ),
    (
        BRIDGE + UPSTREAM + charge_point(1, identity="A") + charge_point(2, identity="A"),
        ['f.toml: charge_point[2].identity: "A" is already the identity of charge_point[1] (charge point number 2)'],
    ),
    (
        charge_point(1, 'password = "x"', identity="a:b"),
        ["f.toml: charge_point[1].identity: must not contain : when a password is set (charge point number 1)"],
    ),
    (
        charge_point(1, 'upstream_password = "x"', identity="a:b"),
        ["f.toml: charge_point[1].identity: must not contain : when upstream_password is set (charge point number 1)"],
    ),
    (
        charge_point(1, 'upstream_password = "x"', 'upstream_identity = "a:b"'),
        [
            (
                "f.toml: charge_point[1].upstream_identity: must not contain : when upstream_password is set "
                "(charge point number 1)"
            )
        ],
    ),
    (STATIC, ['f.toml: network.address: is missing: mode = "static" needs it']),
    (STATIC + 'address = ""\n', ['f.toml: network.address: is missing: mode = "static" needs it']),
    (
        STATIC + 'address = "10.1.2.3/24"\nrouter = "192.168.1.1"\n',
        ['f.toml: network.router: 192.168.1.1 is not in 10.1.2.0/24; write a router of that network, or "" for none'],
    ),
    (
        STATIC + 'address = "192.168.1.1/24"\nrouter = "192.168.1.1"\n',
        ["f.toml: network.router: 192.168.1.1 is the gateway's own address"],
    ),
    ("[web]\nport = 9100\n", ["f.toml: metrics.port: 9100 is already web.port"]),
    (
        '[modbus.tcp]\nport = 1502\n[ocpp]\nport = 1502\nhost = "127.0.0.1"\n',
        ["f.toml: ocpp.port: 1502 is already modbus.tcp.port"],
    ),
    ("[ocpp.tls]\nport = 8887\n", ["f.toml: ocpp.tls.port: 8887 is already ocpp.port"]),
    (
        '[web]\nhost = "localhost"\nport = 9100\n',
        ["f.toml: metrics.port: 9100 is already web.port"],
    ),
    (
        '[web]\nhost = "plant.example"\nport = 8887\n',
        ["f.toml: web.port: 8887 is already ocpp.port"],
    ),
    (
        '[ocpp.tls]\ncertificate = "server.pem"\n',
        ["f.toml: ocpp.tls.key: is missing: a certificate of your own needs its key"],
    ),
    (
        '[ocpp.tls]\nkey = "server.key"\n',
        ["f.toml: ocpp.tls.certificate: is missing: a key of your own needs its certificate"],
    ),
    (
        '[ocpp.upstream]\ncertificate = "client.pem"\n',
        ["f.toml: ocpp.upstream.key: is missing: a certificate of your own needs its key"],
    ),
    (
        '[ocpp.upstream]\nkey = "client.key"\n',
        ["f.toml: ocpp.upstream.certificate: is missing: a key of your own needs its certificate"],
    ),
    (
        charge_point(1, "min_security_profile = 1"),
        ["f.toml: charge_point[1].password: is missing: security profile 1 needs it (charge point number 1)"],
    ),
    (
        charge_point(1, "min_security_profile = 2", 'password = "x"'),
        ["f.toml: ocpp.tls.port: is off, but charge_point[1] needs it for security profile 2"],
    ),
    (
        charge_point(1) + charge_point(2, "min_security_profile = 3") + charge_point(3, "min_security_profile = 3"),
        ["f.toml: ocpp.tls.port: is off, but charge_point[2] needs it for security profile 3"],
    ),
    (
        "[[slot]]\nnumber = 3\n",
        ["f.toml: slot[1].url: is missing: a slot holds a url or a certificate (slot number 3)"],
    ),
]
GOOD = [
    "",
    charge_point(40) + charge_point(1) + charge_point(21),
    charge_point(1, identity="a") + charge_point(2, identity="A"),
    "[modbus]\nunit_id = 246\n" + charge_point(40),
    "[modbus.rtu]\nunit_id = 247\n" + charge_point(20),
    "[modbus]\ncharge_point_units = 227\n" + charge_point(20),
    "[modbus]\ncharge_point_units = 246\n" + charge_point(1) + charge_point(21),  # 21 is not of bank 1
    "[modbus]\nunit_id = 101\ncharge_point_units = 100\n" + charge_point(2),  # only configured ones have ids
    '[modbus.rtu]\nparity = "none"\nstop_bits = 2\n',
    '[modbus.rtu]\nparity = "odd"\nstop_bits = 1\n',
    BRIDGE + UPSTREAM,
    BRIDGE + charge_point(1, 'upstream_url = "ws://other/"'),
    BRIDGE + charge_point(1, 'role = "central_system"'),
    UPSTREAM + charge_point(1, 'role = "bridge"'),
    charge_point(1, 'role = "bridge"', 'upstream_url = "wss://other/"'),
    BRIDGE
    + UPSTREAM
    + charge_point(1, 'upstream_identity = "X"')
    + charge_point(2, 'upstream_identity = "X"', 'upstream_url = "ws://other/"'),
    BRIDGE + UPSTREAM + charge_point(1, 'upstream_identity = "CP2"') + charge_point(2, 'upstream_identity = "CP1"'),
    UPSTREAM + charge_point(1, 'upstream_identity = "X"') + charge_point(2, 'upstream_identity = "X"'),  # no bridge
    charge_point(1, 'password = "x"', 'upstream_password = "y"', 'upstream_identity = "ab"'),
    charge_point(1, identity="a:b"),
    charge_point(1, 'upstream_identity = "a:b"', 'password = "x"'),
    STATIC + 'address = "192.168.1.20/24"\n',
    STATIC + 'address = "10.1.2.3/24"\n',
    STATIC + 'address = "192.168.1.1/24"\n',
    STATIC + 'address = "10.1.2.3/24"\nrouter = ""\n',
    STATIC + 'address = "10.1.2.3/24"\nrouter = "10.1.2.1"\n',
    '[network]\naddress = "10.1.2.3/24"\n',  # not in use
    "[modbus.tcp]\nport = 0\n[ocpp]\nport = 0\n[ocpp.tls]\nport = 0\n[web]\nport = 0\n[metrics]\nport = 0\n",
    "[ocpp]\nport = -1\n[web]\nport = -1\n[metrics]\nport = -1\n",
    "[modbus.tcp]\nenabled = false\nport = 8887\n",
    '[web]\nhost = "127.0.0.2"\nport = 9100\n',
    '[modbus.tcp]\nport = 8887\nhost = "::"\n',  # IPv6 alone beside IPv4 alone
    '[web]\nhost = "plant.example"\nport = 9100\n',
    '[ocpp.tls]\nport = 8443\ncertificate = "server.pem"\nkey = "server.key"\n',
    '[[slot]]\nnumber = 3\ncertificate = "ca.pem"\n',
    '[ocpp.upstream]\ncertificate = "client.pem"\nkey = "client.key"\n',
    charge_point(1, "min_security_profile = 1", 'password = "x"'),
    "[ocpp.tls]\nport = 0\n" + charge_point(1, "min_security_profile = 2", 'password = "x"'),
    "[ocpp.tls]\nport = 8443\n" + charge_point(1, "min_security_profile = 3"),
    charge_point(1, "min_security_profile = 0"),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_a_broken_rule_names_the_key_and_what_is_wrong(text: str, expected: list[str]) -> None:
    assert lines(text) == expected


@pytest.mark.parametrize("text", GOOD)
def test_the_neighbour_is_good(text: str) -> None:
    assert lines(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (charge_point(0) + charge_point(0, identity="B"), ["must be 1..4940, not 0"] * 2),
        (charge_point(1, identity="a/b") * 2, ["must not contain /", "must not contain /", "is already the number"]),
        ("[modbus]\nunit_id = 0\ncharge_point_units = 1\n" + charge_point(21), ["must be 1..247"]),
        ('[gateway]\nrole = "brigde"\n' + charge_point(1), ["did you mean"]),
        ('[network]\nmode = "static"\naddress = "10.0.0.1"\n', ["needs its prefix length"]),
        ("[ocpp.tls]\ncertificate = 4\n", ["must be text"]),
        ("ocpp = 4\n" + BRIDGE, ["must be a table"]),
        ('[ocpp]\nport = 502\nhost = ""\n', ["is neither an address nor a host name"]),
        (BRIDGE + charge_point(1, 'upstream_url = "http://x/"'), ["must begin with ws://"]),
        ("slot = [4]\n", ["must be a table, not a whole number"]),
        ("[[slot]]\nnumber = 1\nurl = 4\n", ["must be text"]),
        (charge_point(1, "profile = 4"), ["must be text"]),
    ],
)
def test_a_value_that_is_wrong_by_itself_breaks_no_rule_as_well(text: str, expected: list[str]) -> None:
    found = lines(text)
    assert len(found) == len(expected)
    assert all(words in line for words, line in zip(expected, found, strict=True))


def test_a_wrong_role_of_the_gateway_does_not_hide_that_of_a_charge_point() -> None:
    found = lines('[gateway]\nrole = "brigde"\n' + charge_point(1, 'role = "bridge"'))
    assert [line.split(": ")[1] for line in found] == ["gateway.role", "charge_point[1].upstream_url"]


def test_other_quirk_profiles_are_known_when_they_are_given() -> None:
    text = charge_point(1, 'profile = "grizzl-e"')
    known = frozenset({"standard", "grizzl-e"})
    assert parse(text, "f.toml", known).charge_points[0].profile == "grizzl-e"
    with pytest.raises(ConfigError) as caught:
        parse(charge_point(1, 'profile = "x"'), "f.toml", known)
    assert "known: grizzl-e, standard" in str(caught.value)
