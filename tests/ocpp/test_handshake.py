"""The upgrade request: what real charge points send is read, and what the library gets is strict (quirks H1 to H7)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress

import pytest
import wsproto
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from wsproto.events import Request

from gatewayd.ocpp import handshake
from gatewayd.ocpp.handshake import Refused, Upgrade, credentials, identity, is_user, password_is_right, read
from gatewayd.site.codes import QuirkBits
from gatewayd.site.refusal import Cause
from tests.services.ocpp_peer import KEY, UPGRADE, request

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""For tests only: the least that argon2 allows."""


def seen_by_the_library(upgrade: Upgrade) -> Request:
    """What wsproto makes of the request that it is given."""
    connection = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    connection.receive_data(upgrade.head)
    (event,) = connection.events()
    assert isinstance(event, Request)
    return event


def refused(head: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        read(head)
    return caught.value


class TestAGoodRequest:
    def test_is_read_and_spelled_anew(self) -> None:
        upgrade = read(request(b"/ocpp/CP001", Authorization=b"Basic eHg6eXk=", Cookie=b"a=b"))
        assert (upgrade.identity, upgrade.subprotocols, upgrade.agreed) == ("CP001", ("ocpp1.6",), "ocpp1.6")
        assert (upgrade.authorization, upgrade.tolerated) == (b"Basic eHg6eXk=", QuirkBits(0))
        event = seen_by_the_library(upgrade)
        assert event.subprotocols == ["ocpp1.6"]
        assert event.extensions == []
        assert (b"sec-websocket-key", KEY) in event.extra_headers
        assert b"Cookie" not in upgrade.head

    def test_compression_is_never_passed_on(self) -> None:
        upgrade = read(request(Sec_WebSocket_Extensions=b"permessage-deflate; client_max_window_bits"))
        assert seen_by_the_library(upgrade).extensions == []

    @pytest.mark.parametrize(
        ("offered", "agreed"),
        [
            (b"ocpp1.6", "ocpp1.6"),
            (b"ocpp2.0.1, ocpp1.6", "ocpp1.6"),
            (b"ocpp1.6,ocpp1.5", "ocpp1.6"),
            (b"OCPP1.6", "OCPP1.6"),
            (b" ocpp1.6 ,", "ocpp1.6"),
            (b"ocpp2.0.1", None),
            (b"ocpp1.6j", None),
            (b"", None),
            (b",,", None),
        ],
    )
    def test_the_subprotocol_is_agreed_on_as_it_was_spelled(self, offered: bytes, agreed: str | None) -> None:
        upgrade = read(request(Sec_WebSocket_Protocol=offered))
        assert upgrade.agreed == agreed
        assert agreed is None or agreed in seen_by_the_library(upgrade).subprotocols

    def test_without_a_subprotocol_none_is_offered(self) -> None:
        upgrade = read(request(without=b"Sec-WebSocket-Protocol"))
        assert (upgrade.subprotocols, upgrade.agreed) == ((), None)
        assert seen_by_the_library(upgrade).subprotocols == []


class TestTolerated:
    @pytest.mark.parametrize(
        ("target", "name"),
        [
            (b"/ocpp/CP001", "CP001"),
            (b"/CP001", "CP001"),
            (b"CP001", "CP001"),
            (b"/a/b/c/d/CP001", "CP001"),
            (b"/ocpp/CP001?token=a/b", "CP001"),
            (b"/ocpp/CP001#x", "CP001"),
            (b"/ocpp/RDAM%20123", "RDAM 123"),
            (b"/ocpp/%e5%85%85%e7%94%b5", "充电"),
            (b"/ocpp/a%2Fb", "a/b"),
            (b"ws://gateway:8887/ocpp/CP001", "CP001"),
            (b"/", ""),
            (b"*", "*"),
            (b"/?CP001", ""),
        ],
    )
    def test_the_identity_is_the_last_segment_wherever_it_stands(self, target: bytes, name: str) -> None:
        upgrade = read(request(target))
        assert upgrade.identity == name
        assert seen_by_the_library(upgrade).target == "/"

    @pytest.mark.parametrize(
        ("target", "name"),
        [
            (b"/ocpp///charge point", "charge point"),
            (b"/ocpp/CP001/", "CP001"),
            (b"/ocpp/CP001///", "CP001"),
            (b"//CP001", "CP001"),
            (b"/ocpp/my\tpoint", "my\tpoint"),
            ("/ocpp/Säule 1".encode(), "Säule 1"),
        ],
    )
    def test_raw_blanks_slashes_and_letters_in_the_target(self, target: bytes, name: str) -> None:
        upgrade = read(request(target))
        assert upgrade.identity == name
        odd = target not in (b"/ocpp/CP001/",)
        assert bool(upgrade.tolerated & QuirkBits.identity_encoding) == odd

    @pytest.mark.parametrize("connection", [None, b"keep-alive", b"close", b"", b"\xff"])
    def test_a_connection_header_that_says_nothing_of_it(self, connection: bytes | None) -> None:
        head = request(without=b"Connection") if connection is None else request(Connection=connection)
        upgrade = read(head)
        assert upgrade.tolerated & QuirkBits.other
        seen_by_the_library(upgrade)

    @pytest.mark.parametrize("connection", [b"Upgrade", b"upgrade", b"keep-alive, Upgrade", b"Upgrade,HTTP2-Settings"])
    def test_one_that_does_is_none(self, connection: bytes) -> None:
        assert read(request(Connection=connection)).tolerated == QuirkBits(0)

    @pytest.mark.parametrize("name", [*(name.decode().replace("-", "_") for name in UPGRADE), "Authorization", "X_Y"])
    @pytest.mark.parametrize("where", ["around", "alone"])
    def test_bytes_outside_of_ascii_in_any_header_never_reach_the_library(self, name: str, where: str) -> None:
        good = UPGRADE.get(name.replace("_", "-").encode(), b"x")
        value = b"\xff\xfe" if where == "alone" else good + b", \xc3\xa9"
        head = request(**{name: value})
        if name in ("Upgrade", "Sec_WebSocket_Version", "Sec_WebSocket_Key") and (
            where == "alone" or name != "Upgrade"
        ):
            assert refused(head).status in (400, 426)
            return
        upgrade = read(head)
        seen_by_the_library(upgrade)
        assert upgrade.head.isascii()

    @pytest.mark.parametrize(
        "line",
        [
            b"no colon at all", b": no name", b"Name : blank before the colon", b"X: " + b"y" * 7000, b"\x00\x01: \x02",
            b"Host: other", b"X: a\r\n  folded", b"Content-Length: 5", b"Transfer-Encoding: chunked",
            b"Expect: 100-continue",
        ],
    )  # fmt: skip
    def test_header_lines_of_any_kind(self, line: bytes) -> None:
        upgrade = read(request()[:-2] + line + b"\r\n\r\n")
        seen_by_the_library(upgrade)

    def test_folded_and_doubled_headers(self) -> None:
        head = request(without=b"Sec-WebSocket-Protocol")[:-2]
        assert read(head + b"Sec-WebSocket-Protocol: ocpp2.0,\r\n ocpp1.6\r\n\r\n").agreed == "ocpp1.6"
        doubled = b"Sec-WebSocket-Protocol: ocpp2.0\r\nSEC-WEBSOCKET-PROTOCOL: ocpp1.6\r\n\r\n"
        assert read(head + doubled).agreed == "ocpp1.6"

    def test_lines_that_end_with_a_line_feed_only_and_blank_lines_before(self) -> None:
        assert read(b"\r\n\r\n" + request().replace(b"\r\n", b"\n")).identity == "CP001"


class TestRefused:
    @pytest.mark.parametrize(
        "first",
        [
            b"", b"GET", b"GET /CP001", b"GET  HTTP/1.1", b"POST /CP001 HTTP/1.1", b"get /CP001 HTTP/1.1",
            b"GET /CP001 HTTP/1.0", b"GET /CP001 HTTP/2", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\x80" * 50,
            b"OPTIONS * HTTP/1.1",
        ],
    )  # fmt: skip
    def test_what_is_no_request_of_http(self, first: bytes) -> None:
        assert refused(request(first=first)).status == 400

    @pytest.mark.parametrize("target", [b"/ocpp/CP%", b"/ocpp/CP%2", b"/ocpp/%GG", b"/ocpp/%ff%fe", b"/ocpp/\xff"])
    def test_a_bad_encoding(self, target: bytes) -> None:
        assert refused(request(target)).status == 400

    def test_a_browser_is_told_what_is_served(self) -> None:
        error = refused(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (error.status, error.headers) == (426, ("Upgrade: websocket",))

    @pytest.mark.parametrize("version", [b"8", b"0", b"", b"13, 13", b"\xff"])
    def test_another_version(self, version: bytes) -> None:
        error = refused(request(Sec_WebSocket_Version=version))
        assert (error.status, error.headers) == (426, ("Sec-WebSocket-Version: 13",))

    @pytest.mark.parametrize("key", [None, b"", b"two words", b"k" * 129, b"\xff" * 16])
    def test_no_key(self, key: bytes | None) -> None:
        head = request(without=b"Sec-WebSocket-Key") if key is None else request(Sec_WebSocket_Key=key)
        assert refused(head).status == 400

    @pytest.mark.parametrize(("cause", "status"), handshake.STATUS.items())
    def test_the_response_is_whole_and_says_why(self, cause: Cause, status: int) -> None:
        head, _, body = Refused(cause, "because of tests", "X-More: yes").response().partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == f"HTTP/1.1 {status} {handshake.REASONS[status]}".encode()
        assert {b"X-More: yes", b"Connection: close", b"Content-Length: 17"} <= set(lines)
        assert body == b"because of tests\n"

    @given(st.binary(max_size=400))
    def test_no_bytes_make_it_raise_anything_else(self, head: bytes) -> None:
        with pytest.raises(Refused):
            read(head)

    @given(st.data())
    def test_nor_does_any_bent_request(self, data: st.DataObject) -> None:
        head = bytearray(request(Authorization=b"Basic eHg6eXk="))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(head) - 1))
            head[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
        try:
            upgrade = read(bytes(head))
        except Refused:
            return
        seen_by_the_library(upgrade)
        credentials(upgrade.authorization)


class TestIdentity:
    @given(st.text().filter(lambda text: text and "\ud800" not in text))
    def test_any_text_comes_back_as_it_was_encoded(self, text: str) -> None:
        try:
            octets = text.encode()
        except UnicodeEncodeError:
            return
        assert identity(b"/ocpp/" + b"".join(b"%%%02x" % byte for byte in octets)) == text


class TestCredentials:
    def test_of_http_basic(self) -> None:
        encoded = base64.b64encode(b"CP001:pass:word")
        assert credentials(b"Basic " + encoded) == (b"CP001", b"pass:word")
        assert credentials(b"BASIC  " + encoded + b" ") == (b"CP001", b"pass:word")
        assert credentials(b"basic " + encoded.rstrip(b"=")) == (b"CP001", b"pass:word")
        assert credentials(b"Basic " + base64.b64encode(b"CP001:\x00\xff\xfe")) == (b"CP001", b"\x00\xff\xfe")
        assert credentials(b"Basic " + base64.b64encode(b":")) == (b"", b"")

    @pytest.mark.parametrize(
        "header",
        [b"", b"Basic", b"Basic ", b"Bearer eHg6eXk=", b"Basic !!!", b"Basic eA==", b"Basic \xff\xff", b"Basic a"],
    )
    def test_that_cannot_be_read_are_none(self, header: bytes) -> None:
        assert credentials(header) is None

    def test_the_user_is_the_identity_decoded_or_as_in_the_path(self) -> None:
        assert is_user("RDAM 123", b"RDAM 123")
        assert is_user("RDAM 123", b"RDAM%20123")
        assert is_user("Säule", "Säule".encode())
        assert is_user("50%25", b"50%25")
        assert not is_user("CP001", b"cp001")
        assert not is_user("CP001", b"")


def plain(text: str) -> str:
    return text


@pytest.mark.parametrize("configure", [plain, QUICK.hash], ids=["text", "hash"])
class TestPassword:
    HEX = "0001020304050607FFfe"

    def test_the_texts_bytes(self, configure: Callable[[str], str]) -> None:
        configured = configure("Pässword 123")
        assert password_is_right(configured, "Pässword 123".encode())
        for wrong in (b"", b"P", b"password 123", b"Password 123 ", "Pässword 123".encode("latin-1"), b"\xff" * 16):
            assert not password_is_right(configured, wrong)

    def test_the_bytes_that_the_text_spells_in_hex(self, configure: Callable[[str], str]) -> None:
        for text in (self.HEX.lower(), self.HEX.upper()):
            assert password_is_right(configure(text), bytes.fromhex(self.HEX))
        assert not password_is_right(configure(self.HEX), bytes.fromhex(self.HEX)[:-1])

    def test_the_hex_text_of_the_texts_bytes(self, configure: Callable[[str], str]) -> None:
        configured = configure("secret-key-0123")
        assert password_is_right(configured, b"secret-key-0123".hex().encode())
        assert password_is_right(configured, b"secret-key-0123".hex().upper().encode())
        assert not password_is_right(configured, b"secret-key-0124".hex().encode())


def test_a_text_that_spells_hex_in_mixed_letters_matches_its_bytes() -> None:
    assert password_is_right(TestPassword.HEX, bytes.fromhex(TestPassword.HEX))


@given(configured=st.text(min_size=1, max_size=40), given=st.binary(max_size=40))
def test_no_password_but_the_three_forms_is_right(configured: str, given: bytes) -> None:
    try:
        text = configured.encode()
    except UnicodeEncodeError:
        return
    forms = {text, text.hex().encode()}
    with suppress(ValueError):
        forms.add(bytes.fromhex(configured))
    if given not in forms and given.lower() not in forms:
        assert not password_is_right(configured, given)


@pytest.mark.parametrize("broken", ["$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$", "$argon2id$nonsense"])
def test_a_broken_hash_lets_nobody_in(broken: str) -> None:
    assert not password_is_right(broken, broken.encode())
