"""Who was turned away, why, and what to do about it: "why does it not connect?" in plain words.

Services report a `Refusal`; the site remembers the latest and counts them by cause. Strangers whose identity is not
configured are listed as knocking, for adoption with one click. No I/O, no clock.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum, auto

from msgspec import Struct

REFUSALS_MAX = 100
"""Different refusals remembered, what a person reads through; the one that was not repeated for longest goes."""
KNOCKING_MAX = 50
"""Strangers remembered: more than a gateway has charge points, and a real one dials again."""
IDENTITY_LONGEST = 48
"""Characters of a stranger's identity that are kept; a configured one has no more."""


class Cause(StrEnum):
    """Why somebody was turned away."""

    unknown_identity = auto()
    not_allowed = auto()
    no_subprotocol = auto()
    bad_encoding = auto()
    bad_request = auto()
    no_websocket = auto()
    too_long = auto()
    too_slow = auto()
    duplicate = auto()
    upstream_away = auto()
    no_password = auto()
    wrong_password = auto()
    locked_out = auto()
    profile_too_low = auto()
    tls_on_plain_port = auto()
    plain_on_tls_port = auto()
    tls_too_old = auto()
    no_shared_cipher = auto()
    certificate_missing = auto()
    certificate_foreign = auto()
    certificate_expired = auto()
    certificate_not_yet_valid = auto()
    certificate_name = auto()
    authority_unknown = auto()
    our_certificate_refused = auto()
    our_certificate_expired = auto()
    tls_broken_off = auto()
    tls_failed = auto()
    address_not_allowed = auto()
    too_many_clients = auto()
    wrong_unit_id = auto()
    writes_off = auto()
    not_modbus_tcp = auto()


CLOCKS = "Set the clocks of charge point and gateway."
REMEDIES: dict[Cause, str] = {
    Cause.unknown_identity: """Adopt it: a [[charge_point]] of exactly this identity. Or correct the last part of the
        URL in the charge point; capital letters count.""",
    Cause.not_allowed: "Write 1 to its register `allowed`.",
    Cause.no_subprotocol: """Set the charge point to OCPP 1.6J (JSON over WebSocket). If it is, its firmware leaves the
        subprotocol out: choose a quirk profile that assumes ocpp1.6.""",
    Cause.bad_encoding: """Correct the URL in the charge point: a blank in the identity is written %20, a % is %25.""",
    Cause.bad_request: """Something that speaks no WebSocket dialled this port. Check the address and port that it
        uses.""",
    Cause.no_websocket: """Set the charge point to OCPP 1.6J (JSON over WebSocket), not to SOAP. There is nothing here
        for a web browser.""",
    Cause.too_long: "The request is longer than any charge point's. Shorten the URL or the password.",
    Cause.too_slow: "Check the network between charge point and gateway: whole requests take milliseconds.",
    Cause.duplicate: """Two charge points use this identity: give each its own. If it is one that came back, it gets in
        when its old connection is found dead; with a password it gets in at once.""",
    Cause.upstream_away: "The central system cannot be reached. Check [ocpp.upstream] url and the network.",
    Cause.no_password: """Set the charge point to security profile 1 or 2 and enter its password (AuthorizationKey), or
        remove the password from its [[charge_point]].""",
    Cause.wrong_password: """Enter the same password in the charge point (AuthorizationKey) and in its [[charge_point]].
        The user must be the identity.""",
    Cause.locked_out: """Correct the password, then wait a minute. If it is right, somebody else at this address or with
        this identity tries wrong ones.""",
    Cause.profile_too_low: """Set the charge point to a higher security profile, or lower min_security_profile in its
        [[charge_point]].""",
    Cause.tls_on_plain_port: """Write the port of [ocpp.tls] into the charge point's wss:// URL, or begin it with ws://
        on this port.""",
    Cause.plain_on_tls_port: "Begin the charge point's URL with wss://, or write the port of [ocpp] into it.",
    Cause.tls_too_old: """Update the charge point's firmware: TLS 1.2 or 1.3 is needed. Until then it can dial ws:// on
        the port of [ocpp].""",
    Cause.no_shared_cipher: """Update the charge point's firmware. Some can only RSA, some only EC: try the other
        key_type in [ocpp.tls].""",
    Cause.certificate_missing: """[ocpp.tls] client_ca requires security profile 3: install a certificate in the charge
        point, or have it ask for one (SignCertificate), and set its security profile to 3.""",
    Cause.certificate_foreign: """Have the charge point's certificate signed by the authority in [ocpp.tls] client_ca
        or by the gateway's own.""",
    Cause.certificate_expired: f"Have the charge point ask for a new certificate (SignCertificate). {CLOCKS}",
    Cause.certificate_not_yet_valid: f"The charge point's certificate begins in the future. {CLOCKS}",
    Cause.certificate_name: """The certificate's common name must be the identity: correct the URL in the charge point,
        or issue a certificate with this name.""",
    Cause.authority_unknown: """Install authority.pem, or the authority of your own certificate, in the charge point as
        central system root certificate.""",
    Cause.our_certificate_refused: f"""Dial the gateway by a name or address that its certificate holds, and install
        authority.pem in the charge point. {CLOCKS}""",
    Cause.our_certificate_expired: f"{CLOCKS} Renew the certificate if it is one of your own.",
    Cause.tls_broken_off: """Most charge points that hang up here do not know the gateway's authority: install
        authority.pem in it. Some can only RSA, some only EC: try the other key_type in [ocpp.tls].""",
    Cause.tls_failed: "Update the charge point's firmware. If that is no help, report what was said.",
    Cause.address_not_allowed: "Add the address to [modbus.tcp] allow.",
    Cause.too_many_clients: "Close a Modbus client that is not needed, or raise [modbus.tcp] max_clients (6 at most).",
    Cause.wrong_unit_id: """Set the client to a unit id that the gateway answers at: [modbus] unit_id, and one more for
        each further 20 charge points.""",
    Cause.writes_off: "Set [modbus] writes to true, if this client is to write.",
    Cause.not_modbus_tcp: """Set the client to Modbus TCP without TLS. RTU over TCP is another protocol, and there is
        nothing here for a web browser.""",
}
"""Cause → what to do, for whoever stands before the charge point. Nothing here may name what a peer wrote."""


class Refusal(Struct, frozen=True):
    """Somebody was turned away. `why` is one sentence; `identity` is "" where it did not come that far."""

    cause: Cause
    why: str
    identity: str = ""
    address: str = ""
    status: int = 0
    """The HTTP status that it was answered with; 0: none."""

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return " ".join(REMEDIES[self.cause].split())


class Remembered(Struct):
    """A refusal, and when it happened first and last, in epoch seconds."""

    refusal: Refusal
    first: float
    last: float
    count: int = 1


class Knock(Struct):
    """A stranger: its identity, where it last dialled from, and when, in epoch seconds."""

    identity: str
    address: str
    first: float
    last: float
    count: int = 1


@dataclass(eq=False, slots=True)
class Refusals:
    """The latest refusals, and who is knocking. What is repeated by the same one is one entry with a count."""

    counts: Counter[Cause] = field(default_factory=Counter)
    """Since the start."""
    _latest: OrderedDict[tuple[Cause, str, str], Remembered] = field(default_factory=OrderedDict)
    _knocking: OrderedDict[str, Knock] = field(default_factory=OrderedDict)

    def note(self, refusal: Refusal, epoch: float) -> None:
        """Remember one."""
        self.counts[refusal.cause] += 1
        key = (refusal.cause, refusal.identity[:IDENTITY_LONGEST], refusal.address)
        known = self._latest.get(key)
        if known is None:
            self._latest[key] = Remembered(refusal, epoch, epoch)
        else:
            known.refusal, known.last, known.count = refusal, epoch, known.count + 1
        self._latest.move_to_end(key)
        if len(self._latest) > REFUSALS_MAX:
            self._latest.popitem(last=False)
        if refusal.cause is Cause.unknown_identity and 0 < len(refusal.identity) <= IDENTITY_LONGEST:
            self._knock(refusal, epoch)

    def _knock(self, refusal: Refusal, epoch: float) -> None:
        known = self._knocking.get(refusal.identity)
        if known is None:
            self._knocking[refusal.identity] = Knock(refusal.identity, refusal.address, epoch, epoch)
        else:
            known.address, known.last, known.count = refusal.address, epoch, known.count + 1
        self._knocking.move_to_end(refusal.identity)
        if len(self._knocking) > KNOCKING_MAX:
            self._knocking.popitem(last=False)

    def admitted(self, identity: str) -> None:
        """It is connected now: it knocks no more. Why it could not before stays to be read."""
        self._knocking.pop(identity, None)

    @property
    def latest(self) -> list[Remembered]:
        """Newest first."""
        return list(reversed(self._latest.values()))

    @property
    def knocking(self) -> list[Knock]:
        """Newest first."""
        return list(reversed(self._knocking.values()))
