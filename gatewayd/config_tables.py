"""The tables of the configuration: every key with its type, default, limits and the reason for them.

Serves interface.md, Configuration: names and defaults there are the contract, the limits are ours. To add a key, add
one line here and one to example.toml; reading, faults, checksum and the manual's table follow from it.
"""

from dataclasses import dataclass, field

from gatewayd.config_quirks import Quirks
from gatewayd.config_values import (
    ADDRESS,
    CERTIFICATE,
    DEVICE,
    HOST,
    IDENTITY,
    INTERFACE,
    IPV4,
    NETWORK,
    PASSWORD,
    PRINTABLE,
    PRIVATE_KEY,
    PROFILE,
    SIGNATURE,
    SLOT_URL,
    TIME_ZONE,
    UPSTREAM_PASSWORD,
    UPSTREAM_URL,
    URL_PATH,
    setting,
    tables,
)

UNIT_ID_HIGHEST = 247  # Modbus over serial line: 248..255 are reserved
CHARGE_POINTS_PER_BANK = 20  # modbus.md, Addresses: n = 1..20 in the first digits of an address
NUMBER_HIGHEST = UNIT_ID_HIGHEST * CHARGE_POINTS_PER_BANK  # a bank for every unit id that exists
PORT_HIGHEST = 65535
ROLES = ("central_system", "bridge")
CERTIFICATE_LONGEST = 10000  # OCPP 1.6 security whitepaper: CertificateSigned's chain, the longest of its certificates
SIGNATURE_LONGEST = 800  # OCPP 1.6 security whitepaper: FirmwareType.signature
ID_TAG_LONGEST = 20  # OCPP 1.6: IdToken
KEY_TYPES = ("rsa", "ec")
BAUD_RATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)  # modbus.md, RTU: those that every UART knows


@dataclass(frozen=True, slots=True)
class Gateway:
    name: str = setting(
        "how the gateway calls itself",
        "plant-room-1",
        shortest=1,
        longest=32,
        check=PRINTABLE,
        why="the register gateway_name holds 32 ASCII characters",
    )
    role: str = setting("what the gateway is to the charge points", "central_system", choices=ROLES)
    time_zone: str = setting(
        "local time, for what people read; OCPP and registers are UTC",
        "Europe/Madrid",
        check=TIME_ZONE,
        why="the rules of daylight saving come from the system's own list",
    )


@dataclass(frozen=True, slots=True)
class Network:
    mode: str = setting("dhcp falls back to 192.168.100.246/24 after 30 s", "dhcp", choices=("dhcp", "static"))
    address: str = setting("static only: the gateway's own address", "192.168.1.20/24", check=INTERFACE)
    router: str = setting(
        "static only, and none unless written: the default router, or empty", "192.168.1.1", check=IPV4
    )
    dns: tuple[str, ...] = setting(
        "static only, and none unless written: name servers",
        ("192.168.1.1",),
        most=3,
        check=ADDRESS,
        why="a resolver asks no more than three",
    )
    ntp: tuple[str, ...] = setting(
        "time servers; empty: those of DHCP", (), most=4, check=HOST, why="four are enough to outvote a wrong one"
    )


@dataclass(frozen=True, slots=True)
class ModbusTcp:
    enabled: bool = setting("serve Modbus TCP", True)
    host: str = setting("the address to listen on; 0.0.0.0 is every address", "0.0.0.0", check=HOST)
    port: int = setting("0 takes a free one", 502, low=0, high=PORT_HIGHEST, why="off is enabled = false")
    max_clients: int = setting(
        "connections at a time", 6, low=1, high=6, why="manual 2.2: six; modbus_tcp_clients counts no further"
    )
    keep_alive_s: int = setting(
        "quiet connections are asked for life after this time",
        30,
        low=1,
        high=7200,
        why="the kernel counts whole seconds, and 7200 is what it would do by itself",
    )
    allow: tuple[str, ...] = setting(
        "only these addresses or networks may connect; empty: all",
        (),
        most=64,
        check=NETWORK,
        why="searched at every connection; who has more than 64 writes networks",
    )


@dataclass(frozen=True, slots=True)
class ModbusRtu:
    enabled: bool = setting("serve Modbus RTU", False)
    device: str = setting("the serial port", "/dev/ttyAMA0", shortest=1, check=DEVICE)
    baudrate: int = setting("speed of the line", 9600, choices=BAUD_RATES)
    parity: str = setting("parity of the line", "none", choices=("none", "even", "odd"))
    stop_bits: int = setting("2 only without parity", 1, choices=(1, 2))
    unit_id: int = setting(
        "0: as [modbus] unit_id", 0, low=0, high=UNIT_ID_HIGHEST, why="0 is the broadcast, nobody's id"
    )
    response_delay_ms: int = setting(
        "pause before an answer; -1: 3.5 characters",
        -1,
        low=-1,
        high=1000,
        why="clients wait about a second for an answer",
    )
    direction: str = setting(
        "who switches the transmitter: the board itself, or the UART's RTS", "hardware", choices=("hardware", "rts")
    )


@dataclass(frozen=True, slots=True)
class Modbus:
    unit_id: int = setting(
        "bank 1 answers here, bank 2 at unit_id + 1", 1, low=1, high=UNIT_ID_HIGHEST, why="the ids that Modbus has"
    )
    word_order: str = setting(
        "order of the bytes of 32-bit values: ABCD, DCBA, CDAB, BADC",
        "big",
        choices=("big", "little", "word_inverted_big", "word_inverted_little"),
    )
    signed: str = setting(
        "how negative numbers are coded", "twos_complement", choices=("twos_complement", "ones_complement")
    )
    charge_point_units: int = setting(
        "100: unit 100+n shows charge point n at 0..2999; 0: off",
        0,
        low=0,
        high=UNIT_ID_HIGHEST - 1,
        why="charge point 1 must still have an id of 247 or less",
    )
    string_order: str = setting("little: the two characters of a register swapped", "big", choices=("big", "little"))
    on_comm_error: str = setting(
        "what measurements read while the link is down", "sentinel", choices=("sentinel", "hold", "zero")
    )
    register_base: int = setting("what documents and exports print; the wire always counts from 0", 0, choices=(0, 1))
    notify: str = setting(
        "when a written setpoint acts: on a change, or on every write", "change", choices=("change", "always")
    )
    writes: bool = setting("false: every write gives exception 01", True)
    hide_id_tags: bool = setting("true: id tags read as not available", False)
    tcp: ModbusTcp = field(default_factory=ModbusTcp)
    rtu: ModbusRtu = field(default_factory=ModbusRtu)


@dataclass(frozen=True, slots=True)
class OcppTls:
    port: int = setting("wss; 0 takes a free one, -1 is off", -1, low=-1, high=PORT_HIGHEST)
    certificate: str = setting("empty: the gateway makes its own authority and certificate", "", check=CERTIFICATE)
    key: str = setting("the certificate's private key", "", check=PRIVATE_KEY, secret=True)
    client_ca: str = setting("set: charge points must show a certificate of this authority", "", check=CERTIFICATE)
    key_type: str = setting(
        "what the gateway makes itself: some charge points can only one of them", "rsa", choices=KEY_TYPES
    )


@dataclass(frozen=True, slots=True)
class OcppUpstream:
    url: str = setting("bridge: the central system; the identity is appended", "", check=UPSTREAM_URL)
    local_control: bool = setting("bridge: the BMS may use limits, start, stop and others too", False)
    offline: str = setting(
        "bridge: what happens without the central system", "disconnect", choices=("disconnect", "buffer")
    )
    ca: str = setting("bridge: the authority to trust; empty: those of the system", "", check=CERTIFICATE)
    certificate: str = setting("bridge: shown to the central system (profile 3)", "", check=CERTIFICATE)
    key: str = setting("the certificate's private key", "", check=PRIVATE_KEY, secret=True)


@dataclass(frozen=True, slots=True)
class Ocpp:
    host: str = setting("the address to listen on; 0.0.0.0 is every address", "0.0.0.0", check=HOST)
    port: int = setting("ws; 0 takes a free one, -1 is off", 8887, low=-1, high=PORT_HIGHEST)
    path: str = setting(
        "shown to who sets up a charge point; any path is accepted, its last segment is the identity",
        "/ocpp",
        longest=128,
        check=URL_PATH,
        why="the whole URL must fit the charge points' setting",
    )
    heartbeat_interval_s: int = setting(
        "told to charge points that boot", 60, low=1, high=86400, why="whole seconds in OCPP; a day shows nothing alive"
    )
    call_timeout_s: float = setting(
        "how long an answer may take",
        60.0,
        low=1,
        high=600,
        why="slow links need seconds, and a BMS asks again after minutes",
    )
    ping_interval_s: float = setting(
        "pings on a quiet link; three without any answer close it",
        30.0,
        low=1,
        high=3600,
        why="faster is noise; slower than an hour finds no dead link in a working day",
    )
    max_message_bytes: int = setting(
        "longer messages close the link",
        262144,
        low=1024,
        high=1048576,
        why="a MeterValues of one connector needs a few KiB; every charge point may hold one message in memory",
    )
    ask_bms: tuple[str, ...] = setting(
        "also decided by the BMS", (), most=2, choices=("DataTransfer", "SignCertificate")
    )
    min_limit_interval_s: float = setting(
        "between increases of a limit; reductions go out at once", 2.0, low=0, high=3600, why="0 is no pause"
    )
    tls: OcppTls = field(default_factory=OcppTls)
    upstream: OcppUpstream = field(default_factory=OcppUpstream)


@dataclass(frozen=True, slots=True)
class ChargePoint:
    number: int = setting(
        "1..20 in bank 1, 21..40 in bank 2, and so on", low=1, high=NUMBER_HIGHEST, why="20 for each of 247 unit ids"
    )
    identity: str = setting(
        "the last segment of the URL that it dials",
        shortest=1,
        longest=48,
        check=IDENTITY,
        why="the register identity holds 48 characters",
    )
    connectors: int = setting("how many it has", 2, low=1, high=7, why="modbus.md, Addresses: blocks 1..7; manual 2.2")
    password: str = setting("set: HTTP Basic is required; text or $argon2id$...", "", check=PASSWORD, secret=True)
    min_security_profile: int = setting(
        "connections below this OCPP security profile are refused", 0, choices=(0, 1, 2, 3)
    )
    default_id_tag: str = setting(
        "the tag of a start without one",
        "GATEWAY",
        shortest=1,
        longest=ID_TAG_LONGEST,
        check=PRINTABLE,
        why="an OCPP idTag has 20 characters",
    )
    profile: str = setting("the quirk profile of its model", "standard", check=PROFILE)
    role: str = setting("overrides [gateway] role; empty: as there", "", choices=("", *ROLES))
    upstream_url: str = setting("bridge: another central system; empty: as [ocpp.upstream]", "", check=UPSTREAM_URL)
    upstream_identity: str = setting(
        "bridge: its name there; empty: the same",
        "",
        longest=48,
        check=IDENTITY,
        why="one name has one length everywhere",
    )
    upstream_password: str = setting(
        "bridge: its password there; empty: what it sent itself", "", check=UPSTREAM_PASSWORD, secret=True
    )
    local_control: bool | None = setting("overrides [ocpp.upstream] local_control; absent: as there", None)
    simulated: bool = setting("a simulated one stands in until the real one connects", False)
    max_current_a: float = setting(
        "hard ceiling in A; higher limits are clamped",
        32.0,
        low=1,
        high=1000,
        why="limits count tenths up to 1000 A; to charge nothing, write enable = 0",
    )
    quirks: Quirks = field(default_factory=Quirks)


@dataclass(frozen=True, slots=True)
class Slot:
    number: int = setting("what a command names", low=1, high=65535, why="a command's argument is at least a register")
    url: str = setting("where to fetch from or leave at", "", check=SLOT_URL, secret=True, why="it may hold a password")
    certificate: str = setting("a certificate for the charge point", "", longest=CERTIFICATE_LONGEST, check=CERTIFICATE)
    certificate_type: str = setting(
        "which store of the charge point",
        "",
        choices=("", "CentralSystemRootCertificate", "ManufacturerRootCertificate"),
    )
    signature: str = setting(
        "of the firmware, for SignedUpdateFirmware", "", longest=SIGNATURE_LONGEST, check=SIGNATURE
    )


@dataclass(frozen=True, slots=True)
class Web:
    host: str = setting("the address of the web page; the appliance serves every address", "127.0.0.1", check=HOST)
    port: int = setting(
        "0 takes a free one, -1 is off; the appliance serves HTTPS on 443", 8080, low=-1, high=PORT_HIGHEST
    )
    names: tuple[str, ...] = setting(
        "names by which browsers may call the page, besides addresses and names as gateway.local",
        (),
        most=16,
        check=HOST,
        why="a page elsewhere could let any other name point to the gateway",
    )


@dataclass(frozen=True, slots=True)
class Metrics:
    host: str = setting("the address of the metrics", "127.0.0.1", check=HOST)
    port: int = setting("Prometheus text; 0 takes a free one, -1 is off", 9100, low=-1, high=PORT_HIGHEST)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. Arrays keep the order of the file."""

    gateway: Gateway = field(default_factory=Gateway)
    network: Network = field(default_factory=Network)
    modbus: Modbus = field(default_factory=Modbus)
    ocpp: Ocpp = field(default_factory=Ocpp)
    charge_points: tuple[ChargePoint, ...] = tables("charge_point")
    slots: tuple[Slot, ...] = tables("slot")
    web: Web = field(default_factory=Web)
    metrics: Metrics = field(default_factory=Metrics)
