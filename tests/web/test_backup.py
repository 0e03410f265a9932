"""Backup and restore on the page and by the API, with the real stewardd and its fake systemctl."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from gatewayd import config as configuration
from gatewayd.backup import contents
from gatewayd.backup.container import BadBackup, Cause, Header, seal, unseal
from gatewayd.services.authority import Authority
from gatewayd.services.ledger.database import open_ledger
from gatewayd.services.ledger.schema import MIGRATIONS
from gatewayd.web import ledger_look
from gatewayd.web.routes import BODY_MAX_BYTES, Role
from gatewayd.web.steward import NotGranted
from hal.network_files import parse_trial
from tests.hal.test_stewardd import Steward
from tests.web.door import PASSWORD, Answer, Door

PASSPHRASE = "a boiler room in May"
WITH_COMMENT = '# the meter is behind the door\n[gateway]\nname = "plant-room-1"\n'
EARLY = datetime(2026, 1, 1, tzinfo=UTC)
BOUNDARY = "----a-form"


def door_of(folder: Path, steward: Steward) -> Door:
    """A page as on the appliance: its configuration stands in the state that stewardd knows."""
    (folder / "web").mkdir(exist_ok=True)
    settings = Door(folder).webd.settings
    config = steward.state / "gateway.toml"
    return Door.onto(replace(settings, config=config, gateway_state=None, steward=steward.socket))


def furnish(state: Path) -> None:
    """A state as gatewayd leaves it."""
    (state / "gateway.toml").write_text(WITH_COMMENT)
    Authority(state, "plant-room-1", "ec", now=EARLY)
    database, _ = open_ledger(state / "ledger.sqlite")
    with closing(database):
        database.execute("INSERT INTO fact VALUES ('next_transaction_id', 4712), ('command_ack/1', 77)")


def sent_form(file: bytes, passphrase: str) -> tuple[bytes, str]:
    """A form with a file, as a program sends it."""
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"\r\n\r\n'
    head = part.format('file"; filename="x.backup').encode()
    body = head + file + b"\r\n" + part.format("passphrase").encode() + passphrase.encode() + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


async def look(door: Door, token: str, file: bytes, passphrase: str = PASSPHRASE, path: str = "restore") -> Answer:
    body, kind = sent_form(file, passphrase)
    return await door.call("POST", f"/api/v1/{path}", token, body, kind)


async def made(door: Door, token: str) -> bytes:
    answer = await door.call("POST", "/api/v1/backup", token, json.dumps({"passphrase": PASSPHRASE}).encode())
    assert answer.status == 200, answer.text
    return answer.body


def tree(state: Path) -> dict[str, bytes]:
    return {str(path.relative_to(state)): path.read_bytes() for path in state.rglob("*") if path.is_file()}


def resealed(file: bytes, **changed: contents.File) -> bytes:
    """The same backup with other files, as its owner could make it."""
    header, payload = unseal(file, PASSPHRASE)
    kept, state = contents.parted(payload)
    files = {**state, **{name.replace("_", "."): content for name, content in changed.items()}}
    return seal(header, contents.joined(kept, contents.packed(files)), PASSPHRASE, bytes(16), bytes(12))


async def test_a_backup_comes_back_with_all_that_was(tmp_path: Path, steward: Steward) -> None:
    furnish(steward.state)
    door = door_of(tmp_path, steward)
    tokens = await door.tokens()
    file = await made(door, tokens[Role.admin])
    before, users = tree(steward.state), door.webd.settings.users.read_bytes()
    (steward.state / "gateway.toml").write_text('[gateway]\nname = "another"\n')
    (steward.state / "authority.key").unlink()
    door.webd.users.remove("fitter")
    await door.webd.users.set_password("looker", "a new password")
    examined = json.loads((await look(door, tokens[Role.admin], file)).body)
    assert {one["what"]: (one["now"], one["then"]) for one in examined["differences"]} == {
        "gateway.name": ("another", "plant-room-1"),
        "user fitter": (None, "installer"),
        "user looker": ("viewer", "viewer, another password"),
    }
    assert (examined["highest_transaction_id"], examined["acks"], examined["name"]) == (4711, 1, "plant-room-1")
    assert "another" in (steward.state / "gateway.toml").read_text()  # nothing has changed yet
    answer = await door.call("POST", f"/api/v1/restore/{examined['id']}", tokens[Role.admin])
    assert answer.status == 204, answer.text
    after = tree(steward.state)
    assert json.loads(after.pop("restored.json"))["id"] == examined["id"]
    for name in ("gateway.toml", "authority.pem", "authority.key"):
        assert after[name] == before[name]
    with closing(sqlite3.connect(steward.state / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT value FROM fact WHERE name = 'command_ack/1'").fetchone() == (77,)
    assert json.loads(door.webd.settings.users.read_bytes()) == json.loads(users)
    assert steward.called() == ["systemctl stop gatewayd.service", "systemctl --no-block start gatewayd.service"]
    assert (await door.call("GET", "/api/v1/session", tokens[Role.admin])).status == 401
    trail = [(one.user, one.what) for one in door.webd.audit.newest()]
    assert trail[:2] == [("admin", "restored from a backup"), ("admin", "backup made")]
    assert not door.webd.settings.users_restored.exists()


async def test_a_file_that_is_not_taken_is_named_and_changes_nothing(tmp_path: Path, steward: Steward) -> None:
    furnish(steward.state)
    door = door_of(tmp_path, steward)
    token = (await door.tokens())[Role.admin]
    file = await made(door, token)
    before = tree(steward.state)
    newer, _ = open_ledger(tmp_path / "newer.sqlite")
    with closing(newer):
        newer.execute("PRAGMA journal_mode=DELETE")
        newer.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    other = Authority(tmp_path, "other", "ec", now=EARLY)
    cases = {
        "truncated": file[:-100],
        "damaged": file[:200] + b"x" + file[201:],
        "not_a_backup": b"PK\x03\x04" + bytes(500),
        "other_model": seal(Header("toaster", "1", 0.0, "x"), b"", PASSPHRASE, bytes(16), bytes(12)),
        "newer": resealed(file, ledger_sqlite=contents.File((tmp_path / "newer.sqlite").read_bytes())),
        "unusable": resealed(file, gateway_toml=contents.File(b"[gatewya]\n")),
        "unusable ": resealed(file, ledger_sqlite=contents.File(b"SQLite format 3\x00" + bytes(3000))),
        "unusable  ": resealed(file, authority_pem=contents.File(other.certificate.encode())),
    }
    for cause, content in cases.items():
        answer = await look(door, token, content)
        assert answer.status == 422, cause
        assert json.loads(answer.body)["faults"][0]["key"] == cause.strip(), answer.text
    wrong = await look(door, token, file, "a boiler room in June")
    assert json.loads(wrong.body)["faults"][0]["key"] == "wrong_passphrase"
    assert "gatewya" in (await look(door, token, cases["unusable"])).text
    assert (await door.call("POST", f"/api/v1/restore/{'0' * 32}", token)).status == 404
    assert tree(steward.state) == before
    assert steward.called() == []


OWN_NETWORK = '[network]\nmode = "static" # the cabinet\naddress = "192.0.2.9/24"\nrouter = ""\n'
LATER_NETWORK = '[network]\nmode = "static"\naddress = "192.0.2.77/24"\nrouter = ""\n'


async def test_other_network_settings_are_only_tried(tmp_path: Path, steward: Steward) -> None:
    """What the page promises of every change of the network: who does not confirm it keeps what was."""
    furnish(steward.state)
    file = steward.state / "gateway.toml"
    file.write_text(WITH_COMMENT + OWN_NETWORK)
    door = door_of(tmp_path, steward)
    token = (await door.tokens())[Role.admin]
    backup = await made(door, token)
    file.write_text(WITH_COMMENT.replace("room-1", "room-2") + LATER_NETWORK)
    looked = await door.webd.backups.look(backup, PASSPHRASE)
    done = await door.knock("POST", "/backup/restore/apply", {"id": looked.id}, token)
    assert (done.status, "192.0.2.9" in done.text, "data-countdown" in done.text) == (200, True, True), done.text
    restored = configuration.parse(file.read_bytes(), "f")
    assert (restored.gateway.name, restored.network.address) == ("plant-room-1", "192.0.2.77/24")
    assert "# the cabinet" in file.read_text()
    trial = parse_trial((steward.run / "network.json").read_text())
    assert str(trial.settings.address) == "192.0.2.9/24"
    token, _ = door.webd.sessions.begin("admin", trio.current_time())
    assert (await door.knock("POST", "/network/confirm", {}, token)).status == 303
    assert configuration.parse(file.read_bytes(), "f").network.address == "192.0.2.9/24"


async def test_a_gateway_that_takes_the_place_of_another_takes_its_address_at_once(
    tmp_path: Path, steward: Steward
) -> None:
    furnish(steward.state)
    file = steward.state / "gateway.toml"
    file.write_text(WITH_COMMENT + OWN_NETWORK)
    door = door_of(tmp_path, steward)
    backup = await made(door, (await door.tokens())[Role.admin])
    door.webd.settings.users.unlink()
    file.write_text("")
    body, kind = sent_form(backup, PASSPHRASE)
    page = await door.call("POST", "/claim/restore", "", body, kind)
    assert "this page is at 192.0.2.9 then" in page.text
    looked = door.webd.backups._looked
    assert looked is not None
    done = await door.knock("POST", "/claim/restore/apply", {"id": looked.id})
    assert (done.status, "is now at 192.0.2.9" in done.text) == (200, True), done.text
    assert file.read_text() == WITH_COMMENT + OWN_NETWORK
    assert not (steward.run / "network.json").exists()


async def test_a_backup_without_an_admin_is_refused(tmp_path: Path, steward: Steward) -> None:
    furnish(steward.state)
    door = door_of(tmp_path, steward)
    file = await made(door, (await door.tokens())[Role.admin])
    header, payload = unseal(file, PASSPHRASE)
    _, state = contents.parted(payload)
    for users in ([], [contents.User("a", "viewer", "$argon2id$x")], [contents.User("a", "king", "$argon2id$x")]):
        payload = contents.joined(contents.Kept(users), contents.packed(state))
        with pytest.raises(BadBackup) as caught:
            await door.webd.backups.look(seal(header, payload, PASSPHRASE, bytes(16), bytes(12)), PASSPHRASE)
        assert caught.value.cause is Cause.unusable


async def test_a_restore_that_stewardd_refuses_leaves_all_as_it_was(tmp_path: Path, steward: Steward) -> None:
    furnish(steward.state)
    door = door_of(tmp_path, steward)
    token = (await door.tokens())[Role.admin]
    file = await made(door, token)
    examined = json.loads((await look(door, token, file)).body)
    before, users = tree(steward.state), door.webd.settings.users.read_bytes()
    (steward.directory / "fails").touch()
    answer = await door.call("POST", f"/api/v1/restore/{examined['id']}", token)
    assert (answer.status, "out of order" in answer.text) == (409, True)
    assert (tree(steward.state), door.webd.settings.users.read_bytes()) == (before, users)
    assert not door.webd.settings.users_restored.exists()
    assert (await door.call("GET", "/api/v1/session", token)).status == 200


async def test_without_stewardd_it_is_said_so(tmp_path: Path) -> None:
    door = Door(tmp_path)
    door = Door.onto(replace(door.webd.settings, steward=tmp_path / "nobody"))
    token = (await door.tokens())[Role.admin]
    sent = json.dumps({"passphrase": PASSPHRASE}).encode()
    assert (await door.call("POST", "/api/v1/backup", token, sent)).status == 503
    page = await door.knock("POST", "/backup/make", {"passphrase": PASSPHRASE, "again": PASSPHRASE}, token)
    assert (page.status, "only the appliance" in page.text) == (422, True)


@pytest.mark.parametrize("took_effect", [True, False])
async def test_a_cut_leaves_users_and_state_of_one_time(
    tmp_path: Path, steward: Steward, monkeypatch: pytest.MonkeyPatch, took_effect: bool
) -> None:
    """webd dies in the middle; the next one finds what lies ready, and whether the state was exchanged."""
    furnish(steward.state)
    door = door_of(tmp_path, steward)
    token = (await door.tokens())[Role.admin]
    file = await made(door, token)
    door.webd.users.remove("fitter")
    looked = await door.webd.backups.look(file, PASSPHRASE)
    monkeypatch.setattr(type(door.webd.backups), "settle", lambda _self: False)
    if not took_effect:
        (steward.directory / "fails").touch()
    with pytest.raises(NotGranted):
        await door.webd.backups.apply(("admin", ""), looked)
    monkeypatch.undo()
    assert door.webd.settings.users_restored.exists()
    later = Door.onto(door.webd.settings)
    await later.webd.backups.keep_settled()
    assert not door.webd.settings.users_restored.exists()
    assert (steward.state / "restored.json").exists() is took_effect
    assert ("fitter" in later.webd.users.all()) is took_effect


async def test_a_new_gateway_takes_the_place_of_a_broken_one(tmp_path: Path, steward: Steward) -> None:
    """At the claim, with no password but those of the backup; by pages, as a person does it."""
    furnish(steward.state)
    old = door_of(tmp_path, steward)
    file = await made(old, (await old.tokens())[Role.admin])
    (tmp_path / "new").mkdir()
    fresh = Steward(tmp_path / "new")
    try:
        door = door_of(tmp_path / "new", fresh)
        assert "/claim/restore" in (await door.knock("GET", "/claim")).text
        assert (await door.knock("GET", "/claim/restore")).status == 200
        body, kind = sent_form(file, "not the passphrase")
        wrong = await door.call("POST", "/claim/restore", "", body, kind)
        assert (wrong.status, "The passphrase is not the one" in wrong.text) == (422, True)
        body, kind = sent_form(file, PASSPHRASE)
        page = await door.call("POST", "/claim/restore", "", body, kind)
        assert (page.status, "plant-room-1" in page.text, "4711" in page.text) == (200, True, True), page.text
        looked = door.webd.backups._looked
        assert looked is not None
        done = await door.knock("POST", "/claim/restore/apply", {"id": looked.id})
        assert (done.status, "is in force" in done.text) == (200, True), done.text
        assert (fresh.state / "gateway.toml").read_text() == WITH_COMMENT
        assert (fresh.state / "authority.key").read_bytes() == (steward.state / "authority.key").read_bytes()
        entered = await door.knock("POST", "/login", {"name": "fitter", "password": PASSWORD})
        assert entered.status == 303
        assert (await door.knock("GET", "/claim/restore")).status == 303
        assert (await door.knock("POST", "/claim/restore/apply", {"id": looked.id})).status == 409
    finally:
        fresh.process.terminate()
        fresh.process.communicate(timeout=20)


async def test_a_gateway_that_cannot_be_claimed_now_takes_no_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(tmp_path)
    monkeypatch.setattr(type(door.webd), "uptime_s", 16 * 60.0)
    for path in ("/claim/restore", "/api/v1/claim/restore"):
        body, kind = sent_form(b"x", PASSPHRASE)
        answer = await door.call("POST", path, "", body, kind)
        assert (answer.status, "15 minutes" in answer.text) == (403, True)


async def test_the_page_shows_the_differences_and_then_restores(tmp_path: Path, steward: Steward) -> None:
    furnish(steward.state)
    door = door_of(tmp_path, steward)
    token = (await door.tokens())[Role.admin]
    fields = {"passphrase": PASSPHRASE, "again": PASSPHRASE}
    assert "differ" in (await door.knock("POST", "/backup/make", {**fields, "again": "x"}, token)).text
    short = await door.knock("POST", "/backup/make", {"passphrase": "short", "again": "short"}, token)
    assert "at least 12 characters" in short.text
    download = await door.knock("POST", "/backup/make", fields, token)
    assert download.status == 200, download.text
    assert download.headers["content-disposition"].endswith('.backup"')
    (steward.state / "gateway.toml").write_text(WITH_COMMENT.replace("behind", "beside"))
    looked = await door.webd.backups.look(download.body, PASSPHRASE)
    assert [(one.key, one.new) for one in looked.differences] == [("configuration", "other comments, or another order")]
    done = await door.knock("POST", "/backup/restore/apply", {"id": looked.id}, token)
    assert (done.status, "is in force" in done.text) == (200, True)
    assert "max-age=0" in done.headers["set-cookie"].lower()
    assert (steward.state / "gateway.toml").read_text() == WITH_COMMENT


async def test_a_large_body_is_taken_only_of_who_may_send_it(tmp_path: Path) -> None:
    """Each is held in memory: nobody unknown may fill it."""
    door = Door(tmp_path)
    large = bytes(BODY_MAX_BYTES + 1)
    kind = "application/octet-stream"
    assert (await door.call("POST", "/claim/restore", "", large, kind)).status == 422
    tokens = await door.tokens()
    for path in ("/backup/restore", "/api/v1/restore", "/claim/restore", "/api/v1/claim/restore"):
        assert (await door.call("POST", path, tokens[Role.viewer], large, kind)).status == 413
    assert (await door.call("POST", "/api/v1/restore", tokens[Role.admin], large, kind)).status == 415


def test_the_page_knows_the_ledgers_schema() -> None:
    assert len(MIGRATIONS) == ledger_look.SCHEMA
