"""The gateway's authorization list by itself, and what somebody who holds an older one lacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.site import tag_list
from gatewayd.site.codes import Authorization
from gatewayd.site.journal import Journal
from gatewayd.site.list_delivery import pieces
from gatewayd.site.tag_list import ENTRIES_MAX, VERSION_MAX, Changes, Tag, TagList

ID_TAGS = ["a", "A", "b", "B", "c", "d", "e"]
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(ID_TAGS), st.integers(1, 5)),
        st.tuples(st.just("delete"), st.sampled_from(ID_TAGS), st.just(0)),
        st.just(("clear", "", 0)),
    ),
    max_size=30,
)


def edit(tags: TagList, journal: Journal, edits: list[tuple[str, str, int]]) -> None:
    for what, id_tag, status in edits:
        if what == "put":
            tags.put(Tag(id_tag, status), journal)
        elif what == "delete":
            tags.delete(id_tag, journal)
        else:
            tags.clear(journal)


@given(before=EDITS, after=EDITS, size=st.integers(1, 4))
def test_the_changes_in_pieces_make_the_older_list_the_newer(
    before: list[tuple[str, str, int]], after: list[tuple[str, str, int]], size: int
) -> None:
    tags, journal = TagList(), Journal()
    edit(tags, journal, before)
    theirs = {key: tag.status for key, tag in tags.entries.items()}
    held = tags.edit
    edit(tags, journal, after)
    changes = tags.changes_since(held)
    if changes is None:
        assert ("clear", "", 0) in after
        return
    for piece in pieces(changes, size):
        assert 1 <= len(piece.puts) + len(piece.deletes) <= size
        theirs |= {tag.id_tag.casefold(): tag.status for tag in piece.puts}
        for id_tag in piece.deletes:
            theirs.pop(id_tag.casefold(), None)
    assert theirs == {key: tag.status for key, tag in tags.entries.items()}


@given(edits=EDITS)
def test_every_edit_changes_the_version_and_places_stay_in_order(edits: list[tuple[str, str, int]]) -> None:
    tags, journal, versions = TagList(), Journal(), [0]
    for each in edits:
        there = tags.find(each[1]) is not None
        edit(tags, journal, [each])
        if each[0] != "delete" or there:
            versions.append(tags.version)
    assert versions == list(range(len(versions)))
    positions = [tag.position for tag in tags.entries.values()]
    assert positions == sorted(set(positions))
    assert [tags.at(i) for i in range(len(positions) + 1)] == [*tags.entries.values(), None]


def test_the_version_never_becomes_none_or_unsupported() -> None:
    tags, journal = TagList(version=VERSION_MAX), Journal()
    tags.put(Tag("a", 1), journal)
    assert tags.version == 1


def test_a_full_list_takes_nobody_new_but_changes_who_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ENTRIES_MAX == 10_000
    monkeypatch.setattr(tag_list, "ENTRIES_MAX", 2)
    tags, journal = TagList(), Journal()
    assert [tags.put(Tag(id_tag, 1), journal) for id_tag in ("a", "b", "c", "B")] == [True, True, False, True]
    assert len(tags.entries) == 2


def test_what_is_remembered_of_deleted_tags_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_list, "CHANGES_MAX", 3)
    tags, journal = TagList(), Journal()
    for id_tag in ("a", "b", "c"):
        tags.put(Tag(id_tag, 1), journal)
        tags.delete(id_tag, journal)
    assert tags.changes_since(0) == Changes((), ("a", "b", "c"))
    tags.put(Tag("d", 1), journal)
    assert tags.changes_since(0) is None
    assert tags.changes_since(6) is None
    assert tags.changes_since(tags.edit) == Changes()


def test_an_accepted_tag_expires_and_a_blocked_one_stays_blocked() -> None:
    assert Tag("a", Authorization.Accepted, 100).status_at(99.9) == Authorization.Accepted
    assert Tag("a", Authorization.Accepted, 100).status_at(100) == Authorization.Expired
    assert Tag("a", Authorization.Accepted).status_at(1e12) == Authorization.Accepted
    assert Tag("a", Authorization.Blocked, 100).status_at(101) == Authorization.Blocked
