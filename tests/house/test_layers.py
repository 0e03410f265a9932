"""Imports point down only. The tables below are the house's plan; ARCHITECTURE.md, Layers, tells it in words."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.house.sources import PROJECT, expect_none, modules, parse, plant

# From the ground up. A name stands for the module and everything inside the package of that name.
GATEWAY = (
    ("hal.contract",),
    (
        *("gatewayd.site", "gatewayd.config", "gatewayd.config_tables", "gatewayd.config_values"),
        *("gatewayd.config_rules", "gatewayd.config_quirks", "gatewayd.quirks", "gatewayd.quirk_profiles"),
    ),
    ("gatewayd.points",),
    ("gatewayd.modbus", "gatewayd.ocpp"),
    ("gatewayd.view", "gatewayd.backup"),
    ("gatewayd.sockets", "gatewayd.durable"),
    ("gatewayd.services", "gatewayd.product"),
    ("gatewayd.web",),
    (
        *("gatewayd.assembly", "gatewayd.bridging", "gatewayd.state_directory", "gatewayd.runtime_directory"),
        *(
            "gatewayd.certificates",
            "gatewayd.certify",
            "gatewayd.served",
            "gatewayd.observers",
            "gatewayd.host_clock",
            "gatewayd.programs",
        ),
    ),
    ("gatewayd.app",),
    ("gatewayd.__main__", "gatewayd.card_restore"),
)
BOARD = (
    ("hal.contract",),
    (
        *("hal.board", "hal.panel", "hal.reset_sequence"),
        *("hal.fallback", "hal.network_settings", "hal.lease", "hal.arp", "hal.addressing", "hal.wishes"),
        *("hal.firewall", "hal.announcements"),
    ),
    (
        "hal.lines",
        "hal.facts_file",
        "hal.systemd",
        "hal.data_partition",
        "hal.network_files",
        "hal.backup",
        "hal.packet_filter",
    ),
    ("hal.lines_gpiod", "hal.appliance"),
    ("hal.board_spec",),
    ("hal.paneld", "hal.netd", "hal.factory_reset", "hal.stewardd", "hal.terminal_panel", "hal.boot_state"),
)
PURE = {*GATEWAY[0], *GATEWAY[1], *GATEWAY[2], *GATEWAY[3], *GATEWAY[4], *BOARD[1]}

# Neighbours on one floor that never meet: they are introduced to each other by the floor above.
STRANGERS = (
    ("gatewayd.modbus", "gatewayd.ocpp"),
    ("gatewayd.web", "gatewayd.services"),
    ("gatewayd.web", "gatewayd.app"),
    ("gatewayd.__main__", "gatewayd.card_restore"),
    ("hal.paneld", "hal.netd", "hal.factory_reset", "hal.stewardd", "hal.terminal_panel", "hal.boot_state"),
)
STRANGERS_WITHIN = ("gatewayd.services",)

# What a pure module would need for an effect, or for an answer that differs from run to run.
EFFECTS = {
    *("trio", "trio_websocket", "asyncio", "anyio", "socket", "ssl", "select", "selectors", "serial", "gpiod"),
    *(
        "time",
        "sched",
        "signal",
        "random",
        "secrets",
        "uuid",
        "threading",
        "multiprocessing",
        "concurrent",
        "subprocess",
    ),
    *("sqlite3", "sdnotify", "http", "urllib.request", "tempfile", "shutil"),
}
CLOCKS = {"now", "utcnow", "today"}  # of datetime and date

# The gateway knows the board by its contract. A program that runs once at a start exchanges states as stewardd does;
# with `--board` one service runs the panel's own logic in the daemon.
BOARD_SEEN_BY_GATEWAY = {
    "gatewayd.web.__main__": ("hal.systemd",),
    "gatewayd.card_restore": ("hal.backup",),
    "gatewayd.services.front_panel": ("hal.panel", "hal.reset_sequence", "hal.lines", "hal.board_spec"),
}


@dataclass(frozen=True)
class Arrow:
    """One import: `source` needs `target`."""

    source: str
    target: str
    path: Path
    line: int
    for_types_only: bool
    """Under `if TYPE_CHECKING:`. Still an arrow, but no circle: nothing is imported when the program runs."""

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line} {self.source} -> {self.target}"


def arrows(root: Path, *packages: str) -> list[Arrow]:
    """Every import of every module, at whatever depth: one inside a function is an arrow too."""
    found = list(modules(root, *packages))
    known = {name for name, _ in modules(root, "gatewayd", "hal", "tests")}
    return [
        Arrow(name, target, path, node.lineno, node in types_only)
        for name, path in found
        for tree in [parse(path)]
        for types_only in [under_type_checking(tree)]
        for target, node in imports(tree, name, path.name == "__init__.py", known)
    ]


def imports(
    tree: ast.Module, module: str, is_package: bool, known: set[str]
) -> Iterator[tuple[str, ast.Import | ast.ImportFrom]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: None if is_package else -1]
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            inner = [f"{base}.{alias.name}" for alias in node.names]
            yield from ((target, node) for target in dict.fromkeys(name if name in known else base for name in inner))


def under_type_checking(tree: ast.Module) -> set[ast.AST]:
    blocks = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    ]
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


def inside(module: str, names: str | tuple[str, ...]) -> bool:
    """Whether `module` is one of the names, or in a package of that name."""
    return any(
        module == name or module.startswith(name + ".") for name in ([names] if isinstance(names, str) else names)
    )


def floor(module: str, plan: tuple[tuple[str, ...], ...]) -> int | None:
    return next((height for height, names in enumerate(plan) if inside(module, names)), None)


def homeless(root: Path) -> list[str]:
    """Modules that the plan does not name. A package's own empty `__init__` needs no place."""
    plan = tuple(name for names in (*GATEWAY, *BOARD) for name in names)
    return [
        f"{name} has no layer: give it one in {Path(__file__).name}"
        for name, path in modules(root, "gatewayd", "hal")
        if not inside(name, plan) and not (path.name == "__init__.py" and not path.read_text().strip())
    ]


def upward(root: Path) -> list[str]:
    """Arrows that point up, or from one building into the other past the contract."""
    wrong = []
    for arrow in arrows(root, "gatewayd", "hal"):
        if not inside(arrow.target, ("gatewayd", "hal")) or arrow.target in ("gatewayd", "hal"):
            continue
        plan = GATEWAY if arrow.source.startswith("gatewayd") else BOARD
        below, above = floor(arrow.target, plan), floor(arrow.source, plan)
        seen = inside(arrow.target, BOARD_SEEN_BY_GATEWAY.get(arrow.source, ()))
        if above is not None and not seen and (below is None or below > above):
            wrong.append(f"{arrow} points up or outside")
    return wrong


def meetings(root: Path) -> list[str]:
    """Arrows between neighbours that must not know each other."""
    wrong = []
    for arrow in arrows(root, "gatewayd", "hal"):
        for group in STRANGERS:
            rooms = [
                next((name for name in group if inside(module, name)), None) for module in (arrow.source, arrow.target)
            ]
            if None not in rooms and rooms[0] != rooms[1]:
                wrong.append(f"{arrow} joins strangers")
        for package in STRANGERS_WITHIN:
            depth = package.count(".") + 2
            rooms_within = [".".join(module.split(".")[:depth]) for module in (arrow.source, arrow.target)]
            both = all(inside(module, package) and module != package for module in (arrow.source, arrow.target))
            if both and rooms_within[0] != rooms_within[1]:
                wrong.append(f"{arrow} joins strangers")
    return wrong


def effects(root: Path) -> list[str]:
    """Pure modules that import what acts or waits, or that read a clock."""
    wrong = [
        f"{arrow} is an effect in a pure layer"
        for arrow in arrows(root, "gatewayd", "hal")
        if inside(arrow.source, tuple(PURE)) and inside(arrow.target, tuple(EFFECTS))
    ]
    for name, path in modules(root, "gatewayd", "hal"):
        if not inside(name, tuple(PURE)):
            continue
        for node in ast.walk(parse(path)):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in CLOCKS
                and ast.unparse(node.value).split(".")[-1] in ("datetime", "date")
            ):
                wrong.append(f"{path.name}:{node.lineno} {name} -> {ast.unparse(node)} is a clock in a pure layer")
    return wrong


def leaning_simulators(root: Path) -> list[str]:
    """Simulated peers speak for themselves: an encoder shared with the gateway would share its mistakes."""
    return [
        f"{arrow} leans on what it is there to test"
        for arrow in arrows(root, "tests/simulator")
        if inside(arrow.target, ("gatewayd", "hal"))
    ]


def circles(root: Path) -> list[str]:
    """Modules that need each other to be imported."""
    graph: dict[str, set[str]] = {}
    for arrow in arrows(root, "gatewayd", "hal"):
        if arrow.source != arrow.target and not arrow.for_types_only:
            graph.setdefault(arrow.source, set()).add(arrow.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        return [" -> ".join(circle.args[1])]
    return []


def test_every_module_has_a_layer() -> None:
    expect_none(homeless(PROJECT))


def test_imports_point_down() -> None:
    expect_none(upward(PROJECT))


def test_strangers_stay_strangers() -> None:
    expect_none(meetings(PROJECT))


def test_pure_layers_do_nothing() -> None:
    expect_none(effects(PROJECT))


def test_simulated_peers_lean_on_nothing_of_ours() -> None:
    expect_none(leaning_simulators(PROJECT))


def test_no_circles() -> None:
    expect_none(circles(PROJECT))


def test_a_module_without_a_layer_is_named(tmp_path: Path) -> None:
    plant(tmp_path, {"gatewayd/__init__.py": "", "gatewayd/helpers.py": "x = 1\n"})
    assert homeless(tmp_path) == ["gatewayd.helpers has no layer: give it one in test_layers.py"]


def test_an_upward_arrow_is_printed(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "gatewayd/site/model.py": "def f():\n    from gatewayd.points import bank\n",
            "gatewayd/points/bank.py": "from ..site import model\nfrom hal import contract, lines\n",
            "gatewayd/site/__init__.py": "",
            "gatewayd/services/front_panel.py": "import hal.panel\nfrom hal import paneld\n",
            "hal/contract.py": "",
            "hal/lines.py": "from gatewayd.site import model\n",
            "hal/panel.py": "",
            "hal/paneld.py": "",
        },
    )
    assert upward(tmp_path) == [
        "bank.py:2 gatewayd.points.bank -> hal.lines points up or outside",
        "front_panel.py:2 gatewayd.services.front_panel -> hal.paneld points up or outside",
        "model.py:2 gatewayd.site.model -> gatewayd.points.bank points up or outside",
        "lines.py:1 hal.lines -> gatewayd.site.model points up or outside",
    ]


def test_strangers_that_meet_are_printed(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "gatewayd/modbus/pdu.py": "\nimport gatewayd.ocpp.frames\n",
            "gatewayd/ocpp/frames.py": "",
            "gatewayd/services/__init__.py": "",
            "gatewayd/services/modbus_tcp.py": "from . import ledger\nfrom gatewayd.services.modbus_tcp import x\n",
            "gatewayd/services/ledger.py": "",
        },
    )
    assert meetings(tmp_path) == [
        "pdu.py:2 gatewayd.modbus.pdu -> gatewayd.ocpp.frames joins strangers",
        "modbus_tcp.py:1 gatewayd.services.modbus_tcp -> gatewayd.services.ledger joins strangers",
    ]


def test_effects_in_pure_layers_are_printed(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "gatewayd/ocpp/session.py": "import time\nfrom datetime import datetime\nx = datetime.now()\n",
            "gatewayd/services/watchdog.py": "import time\n",
            "hal/panel.py": "from urllib import parse\nfrom urllib.request import urlopen\n",
        },
    )
    assert effects(tmp_path) == [
        "session.py:1 gatewayd.ocpp.session -> time is an effect in a pure layer",
        "panel.py:2 hal.panel -> urllib.request is an effect in a pure layer",
        "session.py:3 gatewayd.ocpp.session -> datetime.now is a clock in a pure layer",
    ]


def test_a_leaning_simulator_is_printed(tmp_path: Path) -> None:
    plant(tmp_path, {"tests/simulator/bms.py": "from gatewayd.modbus import pdu\n", "gatewayd/modbus/pdu.py": ""})
    assert leaning_simulators(tmp_path) == [
        "bms.py:1 tests.simulator.bms -> gatewayd.modbus.pdu leans on what it is there to test"
    ]


def test_a_circle_is_printed(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "gatewayd/site/model.py": "from gatewayd.site import meter\n",
            "gatewayd/site/meter.py": "import gatewayd.site.model\n",
            "gatewayd/site/a.py": "import gatewayd.site.b\n",
            "gatewayd/site/b.py": "if TYPE_CHECKING:\n    import gatewayd.site.a\n",
        },
    )
    [circle] = circles(tmp_path)
    assert sorted(set(circle.split(" -> "))) == ["gatewayd.site.meter", "gatewayd.site.model"]
