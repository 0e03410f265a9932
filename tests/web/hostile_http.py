"""HTTP as nobody should speak it: requests that have the structure of good ones, and something wrong in one place or
several. By seed; tests/promises/test_r14_http_hostile.py sends them to the real webd.

Of each kind most carry a good session, so that what is wrong reaches whatever stands behind the door.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import quote, urlencode

import h11
import msgspec

import gatewayd.web
from gatewayd.web.guard import COOKIE
from gatewayd.web.routes import Route
from gatewayd.web.server import HEAD_MOST_BYTES
from tests.process.daemon import LOOPBACK
from tests.web.door import SMALL

TEMPLATES: Final = Path(gatewayd.web.__file__).parent / "templates"
FIELD: Final = re.compile(r"""(?:parts\.(?:field|choose|tick)\(form, '|\bname=")(\w+)""")
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS: Final = b"\0\0\0\4\0\0\0\0\0"
H2_SETTINGS: Final = ("AAMAAABkAAQAAP__", "", "AAMAAABk", "%%%", "A" * 400, "\xff", "AAEAABAAAAIAAAABAAN_____")
HOSTS: Final = (
    "",
    "[::1",
    "[::1]:8080",
    "evil.example",
    "127.0.0.1:99999999",
    "gateway.local",
    "\xff",
    "a b",
    "," * 50,
)
NUMBERS: Final = (0, -1, 1, 41, 9999, 2**31, 2**63, 2**64, -(2**63), 10**400, 1.5, 1e308, -0.0)
TEXTS: Final = (
    "", " ", "CP001", "admin", "looker", "\0", "\ud800", "\u202e", "é" * 40, "<script>x</script>",
    "'\"`;--", "../" * 9,
    "%s%n{0}{{7*7}}", "A" * 300, "A" * 5000, "10.0.0.0/8", "::/0", "on", "-----BEGIN CERTIFICATE-----", "1e400", "NaN",
)  # fmt: skip
TOML: Final = (
    "x", SMALL + LOOPBACK.format(modbus=0, ocpp=0), "[gateway]\nname = 7\n", "[web]\nport = 0\nhost = 7\n",
    "a = " + "[" * 900, '[[charge_point]]\nnumber = 99999999999999999999\nidentity = ""\n', "\0", "[" * 3000,
    "[modbus]\nunit_id = 1e999\n", "x = 1979-05-27T99:99:99Z", 'x = """' + "\\" * 99, "é = 1", "[a]\n[a]\n",
)  # fmt: skip


class End(Enum):
    """What the peer does when it has said everything."""

    wait = "reads what is answered"
    eof = "closes its half"
    reset = "is gone"


@dataclass
class Attempt:
    """One connection: what is sent, in these pieces."""

    kind: str
    pieces: list[bytes]
    end: End

    @property
    def text(self) -> bytes:
        return b"".join(self.pieces)


@dataclass
class Message:
    """A request before it is bytes. Every header may stand there twice."""

    method: str
    target: str
    version: str = "HTTP/1.1"
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    framed: bool = False
    """The headers say already how long the body is, or wrongly."""

    def encoded(self) -> bytes:
        """Its bytes."""
        lines = [f"{self.method} {self.target} {self.version}", *(f"{name}: {value}" for name, value in self.headers)]
        if not self.framed and (self.body or self.method not in ("GET", "HEAD")):
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + self.body


def is_to_be_answered(text: bytes) -> bool:
    """Whether a server that knows HTTP/1.1 answers without hearing more: to a whole request, or to what is none."""
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MOST_BYTES)
    if not text:
        return False  # to the library that is the end of the connection
    server.receive_data(text)
    try:
        while not isinstance(event := server.next_event(), h11.EndOfMessage):
            if event in (h11.NEED_DATA, h11.PAUSED):
                return False
    except h11.RemoteProtocolError:
        pass
    return True


class Requests:
    """Attempts, the same for the same seed, host and session."""

    def __init__(self, seed: int, routes: Sequence[Route], host: str) -> None:
        self._random = Random(seed)
        self._routes = [route for route in routes if route.view.__name__ not in ("logout", "end")]
        self._host = host
        self.token, self.proof = "", ""
        """Of a session; the test gives another when this one is over."""
        texts = (path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("*.html")))
        self._fields = sorted({name for text in texts for name in FIELD.findall(text)} - {"csrf_token"})
        kinds = [route.described.takes for route in routes if route.described and route.described.takes is not None]
        _, self._components = msgspec.json.schema_components(kinds, ref_template="{name}")
        self._kinds: list[tuple[str, int, Callable[[], bytes]]] = [
            ("bent requests", 30, self._bent), ("forms", 15, self._form), ("API bodies", 20, self._api),
            ("chunked", 10, self._chunked), ("pipelined", 8, self._pipelined), ("upgrades to h2c", 6, self._upgrade),
            ("HTTP/2", 6, self._prior_knowledge), ("cookies", 3, self._cookies), ("no HTTP", 2, self._nonsense),
        ]  # fmt: skip

    def attempt(self) -> Attempt:
        """The next one."""
        random = self._random
        name, _, make = random.choices(self._kinds, [weight for _, weight, _ in self._kinds])[0]
        wire = make()
        if random.random() < 0.15:
            wire = self._scratched(wire)
        ends = random.choices(list(End), [8, 1, 1])[0]
        return Attempt(name, self._cut(wire), ends)

    # --- whole requests --------------------------------------------------------------------------------------

    def _good(self, route: Route | None = None) -> Message:
        """A request that webd has no reason to refuse, but for its body."""
        route = route or self._random.choice(self._routes)
        message = Message(route.method, self._target(route), headers=[("Host", self._host)])
        if self._random.random() < 0.9:
            if route.path.startswith("/api/"):
                message.headers.append(("Authorization", f"Bearer {self.token}"))
            else:
                message.headers += [("Cookie", f"{COOKIE}={self.token}"), ("X-CSRF-Token", self.proof)]
        if self._random.random() < 0.8:
            message.headers.append(("Connection", "close"))
        return message

    def _target(self, route: Route) -> str:
        def filled(found: re.Match[str]) -> str:
            if ":int" in found[0]:
                return str(self._random.choice((1, 2, 40, 0, 9999999999999999999999)))
            return quote(
                self._random.choice((*TEXTS[:14], "page.css", "gateway_name", "csv", "README")), errors="replace"
            )

        target = re.sub(r"\{[^}]*\}", filled, route.path)
        if self._random.random() < 0.25:
            names = self._random.sample(self._fields, 2)
            target += "?" + urlencode([(name, self._text()) for name in (*names, "next")], errors="replace")
        return target

    def _text(self) -> str:
        return str(self._random.choice((*TEXTS, *NUMBERS[:7])))

    def _bent(self) -> bytes:
        message = self._good()
        for _ in range(self._random.choice((1, 1, 2, 3))):
            self._random.choice(BENDS)(self._random, message)
        return message.encoded()

    def _form(self) -> bytes:
        message = self._good(self._random.choice([r for r in self._routes if r.method == "POST" and not r.described]))
        names = self._random.sample(self._fields, self._random.randrange(1, len(self._fields)))
        pairs = [(name, self._text()) for name in names]
        if self._random.random() < 0.5:
            message.headers.append(("Content-Type", "application/x-www-form-urlencoded"))
            message.body = urlencode(pairs, errors="replace").encode()
        else:
            boundary = self._random.choice(("b", "--", "x" * 70, "b;b"))
            message.headers.append(("Content-Type", f"multipart/form-data; boundary={boundary}"))
            message.body = b"".join(self._part(boundary, *pair) for pair in pairs) + f"--{boundary}--\r\n".encode()
        if self._random.random() < 0.5:
            message.body = self._scratched(message.body)
        return message.encoded()

    def _part(self, boundary: str, name: str, value: str) -> bytes:
        kind = self._random.choice(("", '; filename="a.pem"', '; filename="', "; filename*=UTF-8''%ff"))
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{kind}\r\n\r\n'
        return (head + value + "\r\n").encode("utf-8", "surrogatepass")

    def _api(self) -> bytes:
        route = self._random.choice([r for r in self._routes if r.described and r.described.takes is not None])
        message, told = self._good(route), route.described
        assert told is not None
        message.headers.append(("Content-Type", told.takes_media_type))
        if told.takes is str:
            message.body = self._random.choice(TOML).encode()
        else:
            value = self._value(self._components[told.takes.__name__], 0)
            message.body = json.dumps(value).encode()
        if self._random.random() < 0.3:
            message.body = self._scratched(message.body)
        if self._random.random() < 0.05:
            message.body = self._random.choice(
                (b"[" * 20000, b'{"a":' * 5000, b"\xef\xbb\xbf{}", b"\xff\xfe", b"1" * 9999)
            )
        return message.encoded()

    def _value(self, schema: dict[str, Any], depth: int) -> Any:
        """Something of the schema's shape, mostly."""
        random = self._random
        if random.random() < 0.12 or depth > 4:
            return random.choice((None, True, [], {}, [[]], *NUMBERS, *TEXTS))
        if "$ref" in schema:
            return self._value(self._components[schema["$ref"]], depth + 1)
        if "anyOf" in schema:
            return self._value(random.choice(schema["anyOf"]), depth + 1)
        if "enum" in schema:
            return random.choice(schema["enum"])
        if "properties" in schema:
            needed = schema.get("required", ())
            members = {name: self._value(one, depth + 1) for name, one in schema["properties"].items()
                       if name in needed or random.random() < 0.5}  # fmt: skip
            return members | ({"more": 1} if random.random() < 0.1 else {})
        kind = schema.get("type")
        if kind == "array":
            return [self._value(schema.get("items", {}), depth + 1) for _ in range(random.choice((0, 1, 3, 50)))]
        return random.choice(
            NUMBERS if kind in ("integer", "number") else (True, False) if kind == "boolean" else TEXTS
        )

    def _chunked(self) -> bytes:
        random, message = self._random, self._good()
        message.method = random.choice((message.method, "POST", "PUT"))
        message.framed = True
        message.headers.append(
            ("Transfer-Encoding", random.choice(("chunked", "Chunked", "gzip, chunked", "chunked, x")))
        )
        if random.random() < 0.2:
            message.headers.append(("Content-Length", random.choice(("5", "-5", "0"))))
        wire = message.encoded()
        for _ in range(random.randrange(5)):
            data = b"x" * random.choice((0, 1, 15, 300, 70000))
            size = random.choice(
                (b"%x" % len(data),) * 5 + (b"%X" % (len(data) + 1), b"-1", b"f" * 20, b"0x5", b"", b"1_0")
            )
            wire += size + random.choice((b"", b"", b";x=y", b";" + b"e" * 3000)) + b"\r\n" + data + b"\r\n"
        return wire + random.choice(
            (b"0\r\n\r\n", b"0\r\nHost: b\r\nX: y\r\n\r\n", b"0\r\n", b"", b"0\r\n" + b"a: b\r\n" * 900)
        )

    def _pipelined(self) -> bytes:
        parts = [
            self._random.choice((self._bent, self._api, self._plain, self._plain))()
            for _ in range(self._random.randrange(2, 7))
        ]
        return b"".join(part.replace(b"Connection: close\r\n", b"") for part in parts)

    def _plain(self) -> bytes:
        return self._good().encoded()

    def _upgrade(self) -> bytes:
        random, message = self._random, self._good()
        if random.random() < 0.25:
            message.headers += [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
                                ("Sec-WebSocket-Key", random.choice(("dGhlIHNhbXBsZSBub25jZQ==", "",
                                "\xff")))]  # fmt: skip
            return message.encoded() + random.randbytes(random.randrange(40))
        message.headers += [("Upgrade", random.choice(("h2c", "h2c", "H2C", "h2c, websocket", "TLS/1.0"))),
                            ("Connection", random.choice(("Upgrade, HTTP2-Settings", "Upgrade", "HTTP2-Settings"))),
                            ("HTTP2-Settings", random.choice(H2_SETTINGS))]  # fmt: skip
        trailing = random.choice(
            (b"", b"x", b"\0" * 9, PREFACE, PREFACE + SETTINGS, message.encoded(), random.randbytes(64))
        )
        return message.encoded() + trailing + self._frames()

    def _prior_knowledge(self) -> bytes:
        preface = self._random.choice((PREFACE, PREFACE, PREFACE, PREFACE[:20], PREFACE.replace(b"SM", b"XX")))
        return preface + self._random.choice((SETTINGS, SETTINGS, b"")) + self._frames()

    def _frames(self) -> bytes:
        """HTTP/2 frames: kinds and flags as they are, with lengths and contents as they come."""
        random, wire = self._random, b""
        for _ in range(random.randrange(6)):
            content = random.choice(
                (b"", random.randbytes(random.randrange(64)), HEADERS_BLOCK, b"\0" * 8, b"\xff" * 40)
            )
            length = len(content) if random.random() < 0.8 else random.choice((0, 3, 20000, 2**24 - 1))
            stream = random.choice((0, 1, 1, 3, 2, 2**31 - 1))
            wire += length.to_bytes(3, "big") + bytes((random.randrange(12), random.choice((0, 1, 4, 5, 8, 0x25, 255))))
            wire += stream.to_bytes(4, "big") + content
        return wire

    def _cookies(self) -> bytes:
        message = self._good()
        some = (f"{COOKIE}={self.token}", f'{COOKIE}="\\{self.token}"', COOKIE, f"{COOKIE}=", "=",
            ";" * 200, "\xff=\xff",
                f"{COOKIE}={'A' * 4000}", "a=b; " * 600, f"$Version=1; {COOKIE}=\ud800",
                "__Host-session=x")  # fmt: skip
        message.headers += [("Cookie", self._random.choice(some)) for _ in range(self._random.randrange(1, 4))]
        return message.encoded()

    def _nonsense(self) -> bytes:
        random = self._random
        return random.choice((random.randbytes(200), b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3",
            b"\r\n" * 300, b"\0" * 999, b"GET /\r\n\r\n",
                              b"A" * 40000, b"HELO x\r\n", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"))  # fmt: skip

    # --- bytes -----------------------------------------------------------------------------------------------

    def _scratched(self, wire: bytes) -> bytes:
        """A few bytes other, away, doubled or cut."""
        random, data = self._random, bytearray(wire)
        for _ in range(random.choice((1, 1, 2, 8))):
            at = random.randrange(len(data) + 1)
            what = random.randrange(4)
            if what == 0 and at < len(data):
                data[at] = random.randrange(256)
            elif what == 1:
                del data[at : at + random.choice((1, 2, 30))]
            elif what == 2:
                data[at:at] = data[at : at + random.choice((1, 8, 200))]
            elif what == 3 and random.random() < 0.3:
                del data[at:]
        return bytes(data)

    def _cut(self, wire: bytes) -> list[bytes]:
        if self._random.random() < 0.7 or len(wire) < 2:
            return [wire]
        places = sorted({self._random.randrange(1, len(wire)) for _ in range(self._random.randrange(1, 5))})
        return [wire[begin:end] for begin, end in zip([0, *places], [*places, len(wire)], strict=True)]


HEADERS_BLOCK: Final = b"\x82\x86\x84\x41\x09127.0.0.1"
"""HPACK: GET http / of 127.0.0.1."""


def _method(random: Random, message: Message) -> None:
    message.method = random.choice(
        ("HEAD", "OPTIONS", "TRACE", "CONNECT", "PRI", "get", "", "G\0T", "A" * 9000, "DELETE", "PATCH")
    )


def _aim(random: Random, message: Message) -> None:
    target = message.target
    message.target = random.choice((
        "*", "", "//" + target, target + "/", "http://evil.example" + target, target + "%00",
        "/%2e%2e" * 9, "/static/..%2f" * 3,
        "/static/" + "%ff" * 9, target + "?" + "a=b&" * 2500, "/" + "a" * 20000, target + "\xff", target + "#x",
        "/%", "?", "/\u202e",
        target + " ", "/static/vendor/../../users.json", "http://[::1",
            "/points?from=" + "9" * 5000, "/static//etc/passwd",
    ))  # fmt: skip


def _version(random: Random, message: Message) -> None:
    message.version = random.choice(
        ("HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9.9", "", "HTTP/1.1 x", "http/1.1", "HTTP/1.10")
    )


def _host(random: Random, message: Message) -> None:
    message.headers = [each for each in message.headers if each[0] != "Host" or random.random() < 0.3]
    message.headers += [("Host", random.choice(HOSTS)) for _ in range(random.randrange(3))]


def _length(random: Random, message: Message) -> None:
    message.framed = True
    message.body = random.choice((b"", b"x" * 10, b"x" * 70000))
    values = ("0", "10", "-1", "1e3", "+5", "5, 5", "5,6", "9" * 40, "", " 7", "0x10", "٣", "999999", "70000")
    message.headers += [("Content-Length", random.choice(values)) for _ in range(random.randrange(1, 3))]


def _header(random: Random, message: Message) -> None:
    message.headers.append(random.choice((
        ("Authorization", "Bearer \xff"), ("Authorization", "Basic " + "=" * 40), ("Authorization", "Bearer"),
        ("Origin", "null"), ("Origin", "http://[x"), ("Origin", "https://evil.example"), ("Sec-Fetch-Site",
        "cross-site"),
        ("X-CSRF-Token", "é"), ("X-CSRF-Token", "A" * 88), ("HX-Request", "true"), ("Accept", "\0"), ("Range",
        "bytes=0-,5-1"),
        ("If-None-Match", '"x'), ("If-Modified-Since", "Sun, 99 Foo 0000"), ("Accept-Encoding", "gzip;q=x, br;q=nan"),
        ("Expect", "100-continue"), ("Expect", "x"), ("Content-Type", "multipart/form-data"), ("Transfer-Encoding",
        "identity"),
        ("Content-Type",
        "multipart/form-data; boundary=" + '"' * 99), ("Content-Type", "application/json; charset=utf-7"),
        ("Accept-Language", "-," * 900), ("X" * 15000, "y"), ("X", "y" * 15000), ("a b", "c"), ("", ""), (":path",
        "/"), ("X", "a\r\n b"),
        ("X", "a\nSet-Cookie: b"), ("X-Forwarded-For", "127.0.0.1"), ("Keep-Alive", "timeout=999999999999"),
        ("Trailer", "Host"),
        ("Content-Encoding", "gzip"), ("Upgrade", "h2c"), ("Connection", "Upgrade, close, x"), ("TE", "trailers"),
        ("é", "ü"),
    )))  # fmt: skip


def _many(random: Random, message: Message) -> None:
    message.headers += [(f"X-{number}", "y") for number in range(random.choice((90, 300, 2000)))]


def _body(random: Random, message: Message) -> None:
    message.body = random.choice((b"x", b"{}", b"\0" * 70000, b"a=b", b"%", random.randbytes(100)))


def _kind(random: Random, message: Message) -> None:
    """Another method than the route has, with a body of another kind."""
    message.method = random.choice(("POST", "PUT", "PATCH", "DELETE", "HEAD", "GET"))
    message.headers.append(
        ("Content-Type", random.choice(("application/json", "text/plain", "\xff/\xff", "", "a" * 5000)))
    )
    message.body = random.choice((b"", b"null", b"[]", b"name=x&name=y"))


BENDS: Final = (_method, _aim, _aim, _version, _host, _length, _header, _header, _header, _many, _body, _kind)
