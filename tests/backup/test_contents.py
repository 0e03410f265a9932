"""What is inside a backup, and that stewardd and the page mean the same by it."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.backup.container import BadBackup, Cause
from gatewayd.backup.contents import File, Kept, User, joined, packed, parted, unpacked
from hal.backup import back_up, restore

KEPT = Kept([User("admin", "admin", "$argon2id$…")])
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}(/[A-Za-z0-9_]{1,8})?", fullmatch=True)
FILES = st.dictionaries(
    NAMES.filter(lambda name: name != "MANIFEST"),
    st.builds(File, st.binary(max_size=300), st.sampled_from([0o600, 0o640, 0o660]), st.integers(0, 2**31)),
    min_size=1,
    max_size=6,
)


@given(FILES)
def test_round_trip(state: dict[str, File]) -> None:
    assert parted(joined(KEPT, packed(state))) == (KEPT, state)


def test_what_stewardd_packs_is_read_and_what_is_packed_here_it_takes(tmp_path: Path) -> None:
    state = tmp_path / "gateway"
    (state / "tls").mkdir(parents=True)
    (state / "gateway.toml").write_text("# comment\n")
    (state / "tls" / "authority.key").write_text("secret")
    (state / "tls" / "authority.key").chmod(0o600)
    archive = io.BytesIO()
    back_up(state, archive)
    found = unpacked(archive.getvalue())
    assert {name: file.content for name, file in found.items()} == {
        "gateway.toml": b"# comment\n",
        "tls/authority.key": b"secret",
    }
    (state / "gateway.toml").write_text("changed")
    restore(state, io.BytesIO(packed({**found, "more": File(b"x")})), contextlib.nullcontext)
    assert (state / "gateway.toml").read_text() == "# comment\n"
    assert (state / "more").read_bytes() == b"x"
    assert (state / "tls" / "authority.key").stat().st_mode & 0o777 == 0o600


@given(FILES, st.data())
def test_a_state_that_is_not_whole_is_refused(state: dict[str, File], data: st.DataObject) -> None:
    archive = packed(state)
    cut = archive[: data.draw(st.integers(0, archive.rindex(b"}")))]
    with pytest.raises(BadBackup) as caught:
        unpacked(cut)
    assert caught.value.cause is Cause.unusable


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\0\0\2{}", b"\xff" * 100, b"\0\0\0\x0d" + b'{"users": [1]'])
def test_what_makes_no_sense_is_refused(payload: bytes) -> None:
    with pytest.raises(BadBackup):
        parted(payload)
