"""The configuration file, edited: what stays, what is refused, what is noted."""

from __future__ import annotations

from pathlib import Path

from gatewayd import config as configuration
from gatewayd.web.differences import differences
from tests.web.door import Door

AUTHOR = ("admin", "192.0.2.7")
WITH_COMMENTS = """# Plant room, second floor
[gateway]
name = "old name"   # as on the door

[modbus.tcp]
port = 1502  # 502 needs a privilege here

# The one beside the lift
[[charge_point]]
number = 1
identity = "CP001"   # spelt as on its label
password = "first secret"
"""


async def test_comments_stay_and_the_change_is_noted(tmp_path: Path) -> None:
    door = Door(tmp_path, WITH_COMMENTS)
    assert await door.webd.editor.set(AUTHOR, {"gateway.name": "new name", "modbus.rtu.baudrate": 19200}) == []
    text = (tmp_path / "gateway.toml").read_text()
    assert text.startswith(WITH_COMMENTS.replace("old name", "new name").split("[modbus.tcp]")[0])
    assert all(line.partition("#")[2] in text for line in WITH_COMMENTS.splitlines() if "#" in line)
    parsed = configuration.parse(text, "f")
    assert (parsed.gateway.name, parsed.modbus.rtu.baudrate, parsed.modbus.tcp.port) == ("new name", 19200, 1502)
    assert (tmp_path / "web" / "last_good.toml").read_text() == WITH_COMMENTS
    noted = {change.what: (change.user, change.old, change.new) for change in door.webd.audit.newest()}
    assert noted["gateway.name"] == ("admin", "old name", "new name")
    assert noted["modbus.rtu.baudrate"] == ("admin", "9600", "19200")


async def test_what_is_wrong_is_not_saved(tmp_path: Path) -> None:
    door = Door(tmp_path, WITH_COMMENTS)
    faults = await door.webd.editor.set(AUTHOR, {"modbus.unit_id": 0, "gateway.role": "king"})
    assert {fault["key"] for fault in faults} == {"modbus.unit_id", "gateway.role"}
    assert all(fault["what"] for fault in faults)
    assert (tmp_path / "gateway.toml").read_text() == WITH_COMMENTS
    assert door.webd.audit.newest() == []


async def test_charge_points_come_change_and_go(tmp_path: Path) -> None:
    door = Door(tmp_path, WITH_COMMENTS)
    editor = door.webd.editor
    added = {"number": 2, "identity": "CP002", "connectors": 1, "password": "", "simulated": False}
    assert await editor.set_charge_point(AUTHOR, None, added) == []
    assert await editor.set_charge_point(AUTHOR, 2, {"identity": "CP-B", "max_current_a": 16.0}) == []
    two = configuration.parse((tmp_path / "gateway.toml").read_text(), "f").charge_points[1]
    assert (two.number, two.identity, two.connectors, two.max_current_a, two.password) == (2, "CP-B", 1, 16.0, "")
    doubled = await editor.set_charge_point(AUTHOR, None, added | {"number": 1})
    assert doubled
    assert "charge_point[3].number" in {fault["key"] for fault in doubled}
    assert await editor.remove_charge_point(AUTHOR, 1) == []
    text = (tmp_path / "gateway.toml").read_text()
    assert [one.identity for one in configuration.parse(text, "f").charge_points] == ["CP-B"]
    gone = await editor.remove_charge_point(AUTHOR, 1)
    assert gone == [{"key": "charge_point", "what": "is not in the file any more"}]


async def test_a_password_is_kept_as_a_hash_and_never_told(tmp_path: Path) -> None:
    door = Door(tmp_path, WITH_COMMENTS)
    assert await door.webd.editor.set_charge_point(AUTHOR, 1, {"password": "second secret"}) == []
    text = (tmp_path / "gateway.toml").read_text()
    assert "$argon2id$" in text
    told = (tmp_path / "web" / "audit.jsonl").read_text()
    assert "charge_point 1.password" in told
    assert "secret" not in told + text
    assert "argon2" not in told


async def test_a_file_that_is_no_toml_says_where(tmp_path: Path) -> None:
    door = Door(tmp_path, "[gateway\nname = 1\n")
    faults = await door.webd.editor.set(AUTHOR, {"gateway.name": "x"})
    assert len(faults) == 1
    assert "line 1" in faults[0]["what"]


def test_differences_name_each_key_and_no_secret() -> None:
    old = configuration.parse('[[charge_point]]\nnumber = 1\nidentity = "A"\npassword = "one"\n', "f")
    new = configuration.parse(
        '[modbus]\nwrites = false\n[[charge_point]]\nnumber = 1\nidentity = "A"\npassword = "two"\n'
        '[[charge_point]]\nnumber = 2\nidentity = "B"\n', "f",
    )  # fmt: skip
    found = {one.key: (one.old, one.new) for one in differences(old, new)}
    assert found["modbus.writes"] == ("true", "false")
    assert found["charge_point 1.password"] == ("•••", "•••")
    assert found["charge_point 2.identity"] == (None, "B")
    assert differences(new, new) == []
