"""What avahi is given to announce; whether others hear it stands in tests/root."""

import xml.etree.ElementTree as ElementTree

import pytest

from hal.announcements import service_group

Service = tuple[str, int, list[str]]


def announced(text: str) -> list[Service]:
    group = ElementTree.fromstring(text)
    name = group.find("name")
    assert name is not None
    assert (name.text, name.attrib) == ("%h", {"replace-wildcards": "yes"})
    return [
        (
            each.findtext("type", ""),
            int(each.findtext("port", "")),
            [record.text or "" for record in each.iter("txt-record")],
        )
        for each in group.iter("service")
    ]


PAGE: Service = ("_https._tcp", 443, ["path=/"])


@pytest.mark.parametrize(
    ("ports", "wanted"),
    [
        ({}, []),
        ({"https": 443}, [PAGE]),
        ({"modbus_tcp": 1502, "https": 443}, [PAGE, ("_modbus._tcp", 1502, []), ("_mbap._tcp", 1502, [])]),
        ({"ocpp": 8887, "ocpp_tls": 8888, "metrics": 9100, "ssh": 22}, []),
    ],
    ids=["nothing", "page", "page and modbus", "what nobody looks for"],
)
def test_the_services_that_are_looked_for(ports: dict[str, int], wanted: list[Service]) -> None:
    assert announced(service_group(ports)) == wanted
