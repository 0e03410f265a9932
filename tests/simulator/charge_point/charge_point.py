"""A simulated OCPP 1.6J charge point: hands to work it with, eyes to look at it, and its own books.

It encodes by itself and imports nothing of the gateway. Time is trio's and a clock offset, chance comes from a seed:
under a virtual clock a month passes in a moment, and the same seed gives the same month.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from random import Random

import trio

from ..clock import Clock
from ..ocpp_link import LinkLost, Trace
from ..script import Payload, Script
from .admission import Admission
from .answers import Answers
from .books import Transaction
from .certificates import CertificateStore, ChargePointKey
from .charging_profiles import ProfileStore
from .configuration import Configuration
from .connector import NO_ERROR, Authorization, Connector
from .local_list import LocalList
from .meter import Meter
from .metering import Metering
from .notices import Notices
from .outbox import Outbox
from .session import OpenStream, Session
from .traits import Traits
from .transactions import Transactions
from .transfers import Transfers
from .vehicle import Vehicle

SOFT_RESET_PATIENCE_S = 5.0  # how long a soft reset waits for its StopTransactions to be answered


def _silent(text: str) -> None:
    return None


def _no_trace(direction: str, text: str) -> None:
    return None


class ChargePoint:
    """Connectors are numbered from 1. `run` in a nursery, then work it; everything named `async` waits for answers.

    `open_stream` dials: a function that returns a new trio stream to the central system, one per link. `path` is
    what follows the host, by default /ocpp/<identity>. `books` holds every transaction.
    """

    def __init__(
        self,
        identity: str,
        open_stream: OpenStream,
        *,
        connectors: int = 2,
        seed: int = 0,
        password: str | bytes | None = None,
        host: str = "gateway",
        path: str | None = None,
        clock: Clock | None = None,
        traits: Traits | None = None,
        configuration: dict[str, str] | None = None,
        say: Callable[[str], None] = _silent,
        trace: Trace = _no_trace,
    ) -> None:
        self.identity = identity
        self.password = password
        self.clock = clock or Clock()
        self.traits = traits or Traits()
        self.say = say
        self.trace = trace
        self.script = Script()
        self.random = Random(f"{seed}/{identity}")
        self.configuration = self._delivered(connectors, configuration or {})
        self.connectors = [
            Connector(number, Meter(random, energy_wh=float(random.randrange(10_000, 9_000_000))))
            for number in range(1, connectors + 1)
            for random in [Random(f"{seed}/{identity}/{number}")]
        ]
        self.operative = True
        self.profiles = ProfileStore(self.traits.profiles)
        self.local_list = LocalList()
        self.certificates = CertificateStore()
        self.key = ChargePointKey(self.random)
        self.configured = trio.Event()
        self.data_transfers: list[Payload] = []
        self.certificate_chain: str | None = None
        self.outbox = Outbox(
            self.traits.call_timeout_s,
            lambda: self.configuration.number("TransactionMessageAttempts"),
            lambda: self.configuration.number("TransactionMessageRetryInterval"),
        )
        self.admission = Admission(self)
        self.transactions = Transactions(self)
        self.notices = Notices(self)
        self.metering = Metering(self)
        self.transfers = Transfers(self)
        self.answers = Answers(self)
        self.session = Session(self, open_stream, host, path)
        self._nursery: trio.Nursery | None = None

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until cancelled: dial, boot, charge."""
        for connector in self.connectors:
            connector.counted_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self.metering.run)
            nursery.start_soon(self.session.run)
            task_status.started()

    # Hands: what people and electricity do.

    def plug(self, connector: int = 1, vehicle: Vehicle | None = None) -> None:
        """Put the cable in; charging begins if a tag was accepted before."""
        place = self.connector(connector)
        place.vehicle = vehicle or Vehicle()
        self.say(f"connector {connector}: cable plugged in, battery at {place.vehicle.soc_percent:.0f} %")
        self.transactions.cable_in(place)
        self.notices.refresh(place)

    def unplug(self, connector: int = 1) -> None:
        """Pull the cable; a running transaction stops as EVDisconnected if the configuration says so."""
        place = self.connector(connector)
        if place.transaction:
            self.settle(place)
            if self.configuration.flag("StopTransactionOnEVSideDisconnect"):
                self.transactions.stop(place, "EVDisconnected")
        place.vehicle = None
        place.finishing = False
        self.settle(place)
        self.say(f"connector {connector}: cable pulled")
        self.notices.refresh(place)

    async def present_tag(self, id_tag: str, connector: int = 1) -> str:
        """Hold a card to the reader; the outcome: an authorization status, or Unavailable or Reserved.

        A running transaction of the same tag (or group) ends as Local. An accepted tag starts at once when the
        cable is in, otherwise the connector waits ConnectionTimeOut for it.
        """
        place = self.connector(connector)
        self.say(f"connector {connector}: tag {id_tag} presented")
        if place.transaction and place.transaction.id_tag == id_tag:
            self.transactions.stop(place, "Local", id_tag)
            return "Accepted"
        if place.status() in ("Unavailable", "Faulted"):
            return "Unavailable"
        status, parent = await self.admission.decide(id_tag)
        self.say(f"connector {connector}: tag {id_tag} is {status}")
        if status != "Accepted":
            return status
        if place.transaction:
            if parent is None or place.transaction.parent_id_tag != parent:
                return "ConcurrentTx"
            self.transactions.stop(place, "Local", id_tag)
        elif not place.is_free_for(id_tag, parent):
            return "Reserved"
        else:
            self.transactions.admit(place, Authorization(id_tag, parent))
        return status

    def present_tag_soon(self, id_tag: str, connector: int = 1) -> None:
        """`present_tag` without waiting for the outcome."""
        self.start_soon(partial(self.present_tag, id_tag, connector))

    def fault(
        self, connector: int, error_code: str, vendor_error_code: str | None = None, info: str | None = None
    ) -> None:
        """Break something; the transaction is kept, without energy, until `repair`."""
        place = self.connector(connector)
        self.settle(place)
        place.error_code, place.vendor_error_code, place.info = error_code, vendor_error_code, info
        self.settle(place)
        self.notices.refresh(place)

    def repair(self, connector: int) -> None:
        self.fault(connector, NO_ERROR)

    def emergency_stop(self, connector: int = 1) -> None:
        """The red button: the transaction ends as EmergencyStop."""
        if self.connector(connector).transaction:
            self.transactions.stop(self.connector(connector), "EmergencyStop")

    def pull_network(self) -> None:
        """The link goes dead without an end: sends vanish, pings stay unanswered, until somebody gives up.

        The charge point notices when its own messages are not answered any more, and dials again.
        """
        if self.session.cable:
            self.session.cable.pull()

    def power_cut(self, seconds: float, *, half_open: bool = False) -> None:
        """No electricity for that long: running transactions end as PowerLoss, the link dies without a close frame.

        `half_open`: the other side does not even see the end of the connection.
        """
        self._stop_all("PowerLoss")
        if half_open:
            self.pull_network()
        self._sleep(seconds)
        self.start_soon(self.cut)

    def restart(self, reason: str) -> None:
        """Boot again: `SoftReset`, `HardReset` or `Reboot`, after the transactions have been stopped for it."""
        self.start_soon(partial(self._restart, reason))

    def stay_away(self) -> None:
        """Close the link and do not dial again until `come_back`; life goes on offline."""
        self.session.staying_away = True
        self.start_soon(self.disconnect)

    def come_back(self) -> None:
        self.session.staying_away = False
        self.session.stir()

    async def disconnect(self) -> None:
        """Close the link properly; it is dialled again after the usual pause."""
        if self.session.link:
            await self.session.link.close()

    async def cut(self) -> None:
        """Drop the transport without a word; it is dialled again after the usual pause."""
        if self.session.link:
            await self.session.link.cut()

    # Words: Calls that a test or a person wants to be made.

    async def ask(self, action: str, payload: Payload) -> Payload:
        """Make any Call, valid or not. Offline, NoAnswer or CallFailed."""
        return await self.outbox.ask(action, payload)

    async def send_raw(self, text: str) -> None:
        """Any text as one frame. LinkLost when there is no link."""
        if self.session.link is None:
            raise LinkLost
        await self.session.link.send_raw(text)

    async def data_transfer(self, vendor_id: str, message_id: str | None = None, data: str | None = None) -> Payload:
        extra = {"messageId": message_id, "data": data}
        return await self.ask(
            "DataTransfer", {"vendorId": vendor_id} | {k: v for k, v in extra.items() if v is not None}
        )

    async def sign_certificate(self) -> str:
        """Ask for a certificate; CertificateSigned follows by itself. The status of the answer."""
        request = self.key.request(self.identity, self.configuration["CpoName"])
        return str((await self.ask("SignCertificate", {"csr": request}))["status"])

    # Eyes.

    def connector(self, number: int) -> Connector:
        """IndexError when there is none."""
        if not 1 <= number <= len(self.connectors):
            raise IndexError(f"{self.identity} has connectors 1 to {len(self.connectors)}, not {number}")
        return self.connectors[number - 1]

    def status(self, connector: int = 1) -> str:
        return self.connector(connector).status()

    @property
    def books(self) -> list[Transaction]:
        """Every transaction since the beginning, the running ones included."""
        return self.transactions.books

    def transaction(self, connector: int = 1) -> Transaction | None:
        """The running one."""
        return self.connector(connector).transaction

    @property
    def connected(self) -> bool:
        return self.session.link is not None

    @property
    def registered(self) -> bool:
        """Connected and allowed to speak."""
        return self.session.registered

    def meter_wh(self, connector: int = 1) -> int:
        """What the meter shows now."""
        self.settle(self.connector(connector))
        return int(self.connector(connector).meter.energy_wh)

    def power_w(self, connector: int = 1) -> float:
        return self.connector(connector).meter.power_w

    def effective_limit_a(self, connector: int = 1) -> float:
        """What this connector may offer per phase now, in A: the hardware's and every profile's limit."""
        return self.limit_a(self.connector(connector), self.clock.now())

    async def until(self, true: Callable[[], bool], timeout_s: float = 60.0, look_every_s: float = 0.1) -> None:
        """Wait until a fact about this charge point holds. trio.TooSlowError."""
        with trio.fail_after(timeout_s):
            while not true():  # noqa: ASYNC110  a fact of any kind, that nobody announces
                await trio.sleep(look_every_s)

    # Inner workings, for the modules beside this one.

    def start_soon(self, work: Callable[[], object]) -> None:
        if self._nursery is None:
            raise RuntimeError("this charge point has no power: run it first")
        self._nursery.start_soon(work)  # type: ignore[arg-type]

    def limit_a(self, place: Connector, at: float) -> float:
        """At a wall time."""
        if self.traits.ignores_limits:
            return self.traits.max_current_a
        started_at = place.transaction.started_at if place.transaction else None
        own = self.profiles.connector_limit_a(place.number, at, started_at, self.traits.phases)
        shared = self.profiles.charge_point_limit_a(at, self.traits.phases)
        limits = [self.traits.max_current_a, math.inf if own is None else own]
        if shared is not None:
            # What the whole may take is shared equally by those that charge, this one counted as such.
            others = sum(c.charging for c in self.connectors if c is not place)
            limits.append(shared / (others + 1))
        return min(limits)

    def settle(self, place: Connector) -> None:
        """Count the energy up to now and follow the limit of now."""
        behind_s = self.clock.now() - trio.current_time()
        place.settle(trio.current_time(), lambda at: self.limit_a(place, at + behind_s))

    def settle_all(self) -> None:
        """After a change of profiles or of who charges."""
        for place in self.connectors:
            self.settle(place)
            self.notices.refresh(place)
        self.metering.stir()

    def note_configured(self) -> None:
        """Some configuration key has changed."""
        self.configured.set()
        self.configured = trio.Event()
        self.metering.stir()

    def _delivered(self, connectors: int, values: dict[str, str]) -> Configuration:
        traits, words = self.traits, {"A": "Current", "W": "Power"}
        made = Configuration(
            NumberOfConnectors=str(connectors),
            SupportedFeatureProfiles=",".join(name for name in traits.features if name != "Security"),
            ChargeProfileMaxStackLevel=str(traits.profiles.max_stack_level),
            ChargingScheduleMaxPeriods=str(traits.profiles.max_periods),
            MaxChargingProfilesInstalled=str(traits.profiles.max_installed),
            ChargingScheduleAllowedChargingRateUnit=",".join(words[unit] for unit in traits.profiles.rate_units),
        )
        for name, value in values.items():
            made[name] = value
        return made

    def _stop_all(self, reason: str) -> None:
        for place in self.connectors:
            self.transactions.stop(place, reason)

    def _sleep(self, seconds: float) -> None:
        self.session.boot_needed = True
        self.session.asleep_until = trio.current_time() + seconds
        self.session.stir()

    async def _restart(self, reason: str) -> None:
        self._stop_all(reason)
        if reason != "HardReset":
            with trio.move_on_after(SOFT_RESET_PATIENCE_S):
                await self.outbox.drained()
        for place in self.connectors:
            place.finishing, place.authorization = False, None
        self.say(f"restarts ({reason})")
        self._sleep(self.traits.reboot_s)
        await self.disconnect()
