"""Backup and restore of the gateway's state: round trip, refusals, cuts."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal import backup
from hal.backup import BadArchive, back_up, heal, restore


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "gateway"
    (state / "tls").mkdir(parents=True)
    (state / "gateway.toml").write_text("[gateway]\n")
    (state / "tls" / "authority.key").write_text("secret")
    (state / "ports.json").write_text("{}")
    (state / "half.tmp").write_text("x")
    (state / "link").symlink_to("/etc/passwd")
    return state


@contextlib.contextmanager
def stopped() -> Iterator[None]:
    yield


def archive_of(files: dict[str, bytes], manifest: bytes | None = None) -> io.BytesIO:
    """An archive written by hand; its list is right unless another is given."""
    right = json.dumps({name: hashlib.sha256(content).hexdigest() for name, content in files.items()}).encode()
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in {**files, "MANIFEST": right if manifest is None else manifest}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    made.seek(0)
    return made


def tree(state: Path) -> dict[str, bytes]:
    return {str(path.relative_to(state)): path.read_bytes() for path in state.rglob("*") if path.is_file()}


def test_round_trip(state: Path) -> None:
    kept = io.BytesIO()
    assert back_up(state, kept) == 2
    (state / "gateway.toml").write_text("changed")
    (state / "later").write_text("new")
    kept.seek(0)
    assert restore(state, kept, stopped) == 2
    assert tree(state) == {"gateway.toml": b"[gateway]\n", "tls/authority.key": b"secret"}
    assert [path.name for path in state.parent.iterdir()] == ["gateway"]
    assert (state / "tls" / "authority.key").stat().st_mode & 0o777 == 0o640


def test_a_database_in_use_is_copied_as_of_one_moment(state: Path) -> None:
    with contextlib.closing(sqlite3.connect(state / "ledger.sqlite")) as ledger:
        ledger.execute("PRAGMA journal_mode=WAL")
        ledger.execute("CREATE TABLE energy (wh INTEGER)")
        ledger.execute("INSERT INTO energy VALUES (4711)")
        ledger.commit()
        ledger.execute("INSERT INTO energy VALUES (1)")  # not committed yet
        kept = io.BytesIO()
        back_up(state, kept)
        kept.seek(0)
        with tarfile.open(fileobj=kept) as archive:
            assert not [name for name in archive.getnames() if "wal" in name or "shm" in name]
        ledger.rollback()
    kept.seek(0)
    restore(state, kept, stopped)
    with contextlib.closing(sqlite3.connect(state / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT wh FROM energy").fetchall() == [(4711,)]


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../up",
        "a/../../up",
        "a//b",
        "",
        ".hidden",
        "a b",
        "a\nb",
        "a/b/c/d/e",
        "x" * 101,
        "-rf",
        "a/./b",
    ],
)
def test_names_that_do_not_belong_change_nothing(state: Path, name: str) -> None:
    before = tree(state)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    made.seek(0)
    with pytest.raises(BadArchive):
        restore(state, made, stopped)
    assert tree(state) == before
    assert [path.name for path in state.parent.iterdir()] == ["gateway"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_only_regular_files_belong(state: Path, kind: bytes) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member = tarfile.TarInfo("gateway.toml")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    made.seek(0)
    with pytest.raises(BadArchive, match="does not belong"):
        restore(state, made, stopped)


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"\x1f\x8b" + bytes(600)])
def test_what_is_no_archive(state: Path, content: bytes) -> None:
    before = tree(state)
    with pytest.raises(BadArchive):
        restore(state, io.BytesIO(content), stopped)
    assert tree(state) == before


def test_a_truncated_archive_changes_nothing(state: Path) -> None:
    kept = io.BytesIO()
    back_up(state, kept)
    before = tree(state)
    for length in range(100, kept.getvalue().rindex(b"}"), 100):
        with contextlib.suppress(BadArchive):
            restore(state, io.BytesIO(kept.getvalue()[:length]), stopped)
            pytest.fail(f"{length} bytes of an archive were taken for one")
    assert tree(state) == before


@pytest.mark.parametrize("manifest", [b"{}", b"", b"[]", b'{"gateway.toml": "00"}', b"[" * 100_000])
def test_a_list_that_does_not_fit_changes_nothing(state: Path, manifest: bytes) -> None:
    before = tree(state)
    with pytest.raises(BadArchive):
        restore(state, archive_of({"gateway.toml": b"new"}, manifest), stopped)
    assert tree(state) == before


def test_an_archive_by_hand_is_taken(state: Path) -> None:
    assert restore(state, archive_of({"gateway.toml": b"new"}), stopped) == 1
    assert tree(state) == {"gateway.toml": b"new"}


def test_too_many_and_too_large(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "MAX_FILES", 2)
    with pytest.raises(BadArchive, match="larger"):
        restore(state, archive_of({"a": b"", "b": b"", "c": b"", "d": b""}), stopped)
    monkeypatch.setattr(backup, "MAX_BYTES", 10)
    with pytest.raises(BadArchive, match="larger"):
        restore(state, archive_of({"a": b"12345678901"}), stopped)


def test_a_name_twice_is_refused(state: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("gateway.toml"), io.BytesIO())
    made.seek(0)
    with pytest.raises(BadArchive, match="twice"):
        restore(state, made, stopped)
    assert (state / "gateway.toml").read_text() == "[gateway]\n"


@pytest.mark.parametrize("step", ["before", "after"])
def test_a_cut_leaves_the_state_wholly_old_or_wholly_new(
    state: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """There is a state at every moment: on the appliance others start before stewardd."""
    before = tree(state)
    exchange = backup.exchange

    def cut(one: Path, other: Path) -> None:
        if step == "after":
            exchange(one, other)
        raise SystemExit("power cut")

    monkeypatch.setattr(backup, "exchange", cut)
    monkeypatch.setattr(shutil, "rmtree", lambda *_names, **_more: None)
    with pytest.raises(SystemExit):
        restore(state, archive_of({"gateway.toml": b"new"}), stopped)
    monkeypatch.undo()
    wanted = before if step == "before" else {"gateway.toml": b"new"}
    assert tree(state) == wanted
    assert "cut short" in heal(state)
    assert tree(state) == wanted
    assert os.listdir(state.parent) == ["gateway"]


def test_heal_of_a_whole_state_changes_nothing(state: Path) -> None:
    before = tree(state)
    assert heal(state) == ""
    assert tree(state) == before


def test_a_file_system_that_cannot_exchange_changes_nothing(state: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be exchanged"):
        backup.exchange(tmp_path / "nowhere", state)


def test_a_restored_state_is_as_open_as_it_was(state: Path) -> None:
    """The page writes the configuration into it, and netd reads that by its group; keys are their owner's alone."""
    state.chmod(0o2770)
    (state / "tls" / "authority.key").chmod(0o600)
    (state / "gateway.toml").chmod(0o660)
    kept = io.BytesIO()
    back_up(state, kept)
    kept.seek(0)
    restore(state, kept, stopped)
    assert state.stat().st_mode & 0o7777 == 0o2770
    assert (state / "tls" / "authority.key").stat().st_mode & 0o777 == 0o600
    assert (state / "gateway.toml").stat().st_mode & 0o777 == 0o660


def test_what_was_put_aside_is_not_kept(state: Path) -> None:
    (state / "ledger.sqlite.broken-1").write_bytes(b"x" * 100)
    kept = io.BytesIO()
    assert back_up(state, kept) == 2


def test_a_configuration_that_stands_beside_the_state(state: Path, tmp_path: Path) -> None:
    (state / "gateway.toml").unlink()
    beside = tmp_path / "site.toml"
    beside.write_text("[gateway]\n")
    kept = io.BytesIO()
    assert back_up(state, kept, beside) == 2
    beside.write_text("changed")
    kept.seek(0)
    restore(state, kept, stopped, beside)
    assert beside.read_text() == "[gateway]\n"
    assert tree(state) == {"tls/authority.key": b"secret"}
