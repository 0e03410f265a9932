"""The local list over the wire: whatever is listed, what goes out is valid."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gatewayd.ocpp import local_list, schema
from gatewayd.site.list_delivery import SendList
from gatewayd.site.tag_list import Changes, Tag
from gatewayd.site.timestamp import format_utc
from tests.ocpp.standard import is_valid

ID_TAG = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
TAGS = st.builds(Tag, ID_TAG, st.integers(1, 5), st.integers(0, 2**32 - 1), st.just("") | ID_TAG)


@given(version=st.integers(1, 2**31 - 1), full=st.booleans(), puts=st.lists(TAGS), deletes=st.lists(ID_TAG))
def test_every_list_goes_out_valid(version: int, full: bool, puts: list[Tag], deletes: list[str]) -> None:
    payload = local_list.send_local_list(SendList(version, full, Changes(tuple(puts), tuple(deletes))), format_utc)
    text = json.loads(bytes(schema.encode(payload)))
    assert is_valid("SendLocalList", text), text
    assert text["updateType"] == ("Full" if full else "Differential")
    entries = text["localAuthorizationList"]
    assert [entry["idTag"] for entry in entries] == [*(tag.id_tag for tag in puts), *deletes]
    assert [entry["idTag"] for entry in entries if "idTagInfo" not in entry] == deletes
    for tag, entry in zip(puts, entries, strict=False):
        assert ("expiryDate" in entry["idTagInfo"]) == bool(tag.expiry)
        assert ("parentIdTag" in entry["idTagInfo"]) == bool(tag.parent_id_tag)
