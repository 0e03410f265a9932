"""What one value of the configuration may be: how a key is declared, and the checks a declaration can name.

Serves interface.md, Configuration. A key is one line in a table (config_tables.py): its default, its comment, its
limits and the reason for them. Everything else is derived from that line: the faults, the example, the manual's
table. A check says what is wrong in words that follow the key's name, and never repeats a value that may be secret.
"""

import dataclasses
import functools
import ipaddress
import math
import re
import types
import typing
import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

SHOWN_CHARACTERS = 40  # of a refused value in a fault: enough to recognise it, short enough for one log line
SHOWN_NUMBER = 10**12  # larger numbers are not printed: Python refuses to print those beyond 4,300 digits
URL_LONGEST = 512  # OCPP 1.6 security whitepaper: FirmwareType.location and LogParametersType.remoteLocation
PATH_LONGEST = 4096  # the kernel's PATH_MAX
NAME_LONGEST = 253  # RFC 1035: a host name as text


@dataclass(frozen=True, slots=True)
class Check:
    """A rule for a text that a range cannot say. `fault` gives what is wrong, or None."""

    allowed: str
    fault: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Key:
    """One declared key: numbers have `low`..`high`, texts `shortest`..`longest`, lists at most `most` entries.

    For a list `choices`, the lengths and `check` hold for each entry. `why` is the reason for the limits.
    """

    comment: str
    why: str = ""
    low: float = -math.inf
    high: float = math.inf
    shortest: int = 0
    longest: int | None = None
    most: int = 0
    choices: tuple[str | int, ...] = ()
    check: Check | None = None
    secret: bool = False

    def fault(self, value: Any) -> str | None:
        """What is wrong with one value of the right type, in words that follow the key; None if it is good."""
        if self.choices:
            if value in self.choices:
                return None
            return f"must be {self.allowed()}, not {shown(value)}{did_you_mean(value, self.choices)}"
        if isinstance(value, str):
            return self._text_fault(value)
        if not isinstance(value, bool) and not self.low <= value <= self.high:  # NaN is in no range
            return f"must be {self.allowed()}, not {shown(value)}"
        return None

    def _text_fault(self, value: str) -> str | None:
        if len(value) < self.shortest:
            return "must not be empty"
        if self.longest is not None and len(value) > self.longest:
            return f"must be at most {self.longest} characters, not {len(value)}"
        return self.check.fault(value) if self.check else None

    def allowed(self) -> str:
        """The limits in words, for faults and for the manual's table."""
        words = []
        if self.choices:
            words.append(" or ".join(shown(choice) for choice in self.choices))
        if math.isfinite(self.low):
            words.append(f"{self.low:.15g}..{self.high:.15g}")
        if self.check:
            words.append(self.check.allowed)
        if self.longest is not None:
            words.append(f"{self.shortest}..{self.longest} characters")
        return ", ".join(words)


def setting(comment: str, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """Declare a key of a table: a dataclass field that carries a Key. Without a default it must be written."""
    declared = Key(comment, **limits)
    return dataclasses.field(default=default, repr=not declared.secret, metadata={"key": declared})


def tables(toml_name: str) -> Any:
    """Declare an array of tables, written `[[toml_name]]`, in the order of the file."""
    return dataclasses.field(default=(), metadata={"toml_name": toml_name})


@dataclass(frozen=True, slots=True)
class Declared:
    """One field of a table as the reader needs it. `key` is None for a table or an array of tables.

    `kind` is bool, int, float, str or the dataclass of the table; `many` a list of them; `optional` may be absent.
    """

    field: str
    toml_name: str
    kind: Any
    many: bool
    optional: bool
    default: Any
    key: Key | None


@functools.cache
def declared(kind: Any) -> tuple[Declared, ...]:
    """The fields of a table's dataclass, in the order of their declaration."""
    hints = typing.get_type_hints(kind)
    rows = []
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        optional, many = isinstance(hint, types.UnionType), typing.get_origin(hint) is tuple
        element = typing.get_args(hint)[0] if optional or many else hint
        toml_name = field.metadata.get("toml_name", field.name)
        rows.append(Declared(field.name, toml_name, element, many, optional, field.default, field.metadata.get("key")))
    return tuple(rows)


def shown(value: object) -> str:
    """A value as TOML would write it, shortened, always one line of ASCII."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < SHOWN_NUMBER else "a number of many digits"
    if isinstance(value, float):
        return f"{value:.15g}"
    text = re.sub(r"//.*@", "//...@", str(value))  # who writes a URL where none belongs may have put a password in
    cut = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."
    return '"' + ascii(cut)[1:-1] + '"'


def did_you_mean(value: object, words: Iterable[object]) -> str:
    """The word that was probably meant, as the end of a fault; empty when none is near, and for numbers."""
    import difflib  # a configuration without faults needs none of it

    texts = [word for word in words if isinstance(word, str)]
    near = difflib.get_close_matches(str(value)[:SHOWN_CHARACTERS], texts, n=1)
    return f"; did you mean {shown(near[0])}?" if near else ""


def _printable(value: str) -> str | None:
    if not value.isascii() or not value.isprintable():
        return "must be printable ASCII: it is shown in registers"
    return "must not begin or end with a blank" if value != value.strip() else None


def _time_zone(value: str) -> str | None:
    try:
        zoneinfo.ZoneInfo(value)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return f"{shown(value)} is no time zone of this system; write one as in Europe/Madrid"
    return None


def address_of(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a text spells, or None."""
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        return None


_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def _host(value: str) -> str | None:
    labels = value.split(".")
    named = len(value) <= NAME_LONGEST and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    return None if named or address_of(value) else f"{shown(value)} is neither an address nor a host name"


def _address(value: str) -> str | None:
    return None if address_of(value) else f"{shown(value)} is no address"


def _ipv4(value: str) -> str | None:
    address = address_of(value)
    return None if not value or (address and address.version == 4) else f"{shown(value)} is no IPv4 address"


def _network(value: str) -> str | None:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        pass
    else:
        return None
    try:  # wider than meant is the wrong way for a fence, so it is asked and not guessed
        wide = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return f"{shown(value)} is neither an address nor a network"
    return f"{shown(value)} is an address inside a network; write {wide} for all of it, or the address alone"


def _interface(value: str) -> str | None:
    if not value:
        return None
    try:
        interface = ipaddress.IPv4Interface(value)
    except ValueError:
        return f"{shown(value)} is no IPv4 address with a prefix length, as in 192.168.1.20/24"
    _, slash, prefix = value.partition("/")
    if not slash or not prefix.isdigit():
        return "needs its prefix length, as in 192.168.1.20/24"
    if not 8 <= interface.network.prefixlen <= 30:
        return "must have a prefix length of 8..30: others leave no room for a router"
    if interface.is_loopback or interface.is_multicast or interface.is_unspecified:
        return f"{shown(value)} cannot be the address of a machine"
    if interface.ip in (interface.network.network_address, interface.network.broadcast_address):
        return f"{shown(value)} is the network itself or its broadcast address"
    return None


def _identity(value: str) -> str | None:
    if not value:
        return None
    if fault := _printable(value):
        return fault
    if "/" in value:
        return "must not contain /: charge points dial it as one segment of a URL"
    if value in (".", ".."):
        return "cannot be . or ..: a URL leaves such a segment out"
    if re.search(r"%[0-9A-Fa-f]{2}", value):
        return 'is percent-encoded; write the name itself, as in "RDAM 123" for RDAM%20123'
    return None


PASSWORD_LONGEST = 40  # OCPP 1.6 security whitepaper: AuthorizationKey, 40 characters
HASH_LONGEST = 256  # argon2's own default output is under 100 characters
_ARGON2ID = re.compile(r"\$argon2id\$v=[0-9]+\$m=[0-9]+,t=[0-9]+,p=[0-9]+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")


def _upstream_password(value: str) -> str | None:
    if value.startswith("$argon2id$"):
        return "is a hash, but it must be sent; write the password itself"
    if len(value.encode()) > PASSWORD_LONGEST:
        return f"must be at most {PASSWORD_LONGEST} bytes: OCPP's AuthorizationKey holds no more"
    if re.search(r"[\x00-\x1f\x7f]", value):
        return "must not contain control characters: HTTP Basic cannot carry them"
    return None


def _password(value: str) -> str | None:
    if not value.startswith("$argon2id$"):
        return _upstream_password(value)
    whole = len(value) <= HASH_LONGEST and _ARGON2ID.fullmatch(value)
    return None if whole else "begins like an argon2id hash but is no whole one"


def _device(value: str) -> str | None:
    whole = value.startswith("/") and value.isprintable() and len(value) <= PATH_LONGEST
    return None if whole else "must be the whole path of a device, as in /dev/ttyAMA0"


def _url_path(value: str) -> str | None:
    if not value.startswith("/"):
        return "must begin with /"
    plain = re.fullmatch(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*/?", value)
    return None if plain else "must be a path of a URL, without blanks, ?, # or //"


def _split_url(value: str, schemes: tuple[str, ...]) -> SplitResult | str:
    """The parts of a URL, or what is wrong with it. The text never repeats the URL: it may hold a password."""
    if not value.isascii() or not value.isprintable() or " " in value:
        return "must be a URL of printable ASCII without blanks"
    if len(value) > URL_LONGEST:
        return f"must be at most {URL_LONGEST} characters, not {len(value)}"
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is no URL: its host or port cannot be read"
    if parts.scheme not in schemes:
        return f"must begin with {' or '.join(scheme + '://' for scheme in schemes)}"
    if not host or _host(host):
        return "needs a host after ://"
    return "has port 0, which nobody can dial" if port == 0 else parts


def _upstream_url(value: str) -> str | None:
    if not value:
        return None
    parts = _split_url(value, ("ws", "wss"))
    if isinstance(parts, str):
        return parts
    if "@" in parts.netloc:
        return "must not hold a user or password; write upstream_password at the charge point"
    if parts.query or parts.fragment:
        return "must not hold ? or #: the identity is appended to it"
    return None


SLOT_SCHEMES = ("ftp", "ftps", "http", "https", "sftp")  # what charge points fetch firmware and leave logs by


def _slot_url(value: str) -> str | None:
    parts = _split_url(value, SLOT_SCHEMES) if value else ""
    return (parts or None) if isinstance(parts, str) else None


_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s[A-Za-z0-9+/=\s]+-----END \1-----")


def _pem_labels(value: str) -> set[str] | None:
    """The labels of inline PEM; empty for a path; None for text that is neither."""
    if "-----" in value or "\n" in value:
        rest = _PEM.sub("", value)
        return set(_PEM.findall(value)) if not rest.strip() else None
    return set() if value.isprintable() and len(value) <= PATH_LONGEST else None


def _certificate(value: str) -> str | None:
    labels = _pem_labels(value)
    if labels is None:
        return "must be whole PEM blocks, or the path of a file"
    if any("PRIVATE KEY" in label for label in labels):
        return "holds a private key, where only certificates belong"
    return None if labels <= {"CERTIFICATE"} else "must hold PEM blocks of the kind CERTIFICATE"


_KEY_LABELS = {"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"}
_BESIDE_KEY = {"EC PARAMETERS"}  # what `openssl ecparam -genkey` writes in front of the key


def _private_key(value: str) -> str | None:
    labels = _pem_labels(value)
    if labels is None:
        return "must be a whole PEM block, or the path of a file"
    if "ENCRYPTED PRIVATE KEY" in labels:
        return "is encrypted, and nobody is there to type its passphrase"
    keys = labels - _BESIDE_KEY
    return None if not labels or (len(keys) == 1 and keys <= _KEY_LABELS) else "must hold one private key and no more"


def _signature(value: str) -> str | None:
    return None if re.fullmatch(r"[A-Za-z0-9+/=]*", value) else "must be base64"


PRINTABLE = Check("printable ASCII", _printable)
TIME_ZONE = Check("a time zone by its IANA name", _time_zone)
HOST = Check("an address or a host name", _host)
ADDRESS = Check("an address", _address)
IPV4 = Check("an IPv4 address or empty", _ipv4)
NETWORK = Check("an address, or a network as in 192.168.1.0/24", _network)
INTERFACE = Check("an IPv4 address with prefix length", _interface)
IDENTITY = Check("printable ASCII that can be one segment of a URL", _identity)
PASSWORD = Check(f"at most {PASSWORD_LONGEST} bytes, or $argon2id$...", _password)
UPSTREAM_PASSWORD = Check(f"at most {PASSWORD_LONGEST} bytes", _upstream_password)
DEVICE = Check("the whole path of a device", _device)
URL_PATH = Check("a path that begins with /", _url_path)
UPSTREAM_URL = Check("ws://host/path or wss://host/path, or empty", _upstream_url)
SLOT_URL = Check(f"a URL of {', '.join(SLOT_SCHEMES)}, or empty", _slot_url)
CERTIFICATE = Check("PEM inline, the path of a file, or empty", _certificate)
PRIVATE_KEY = Check("PEM inline, the path of a file, or empty", _private_key)
PROFILE = Check("the name of a quirk profile", lambda _: None)  # which names there are, the caller of parse knows
SIGNATURE = Check("base64 or empty", _signature)
