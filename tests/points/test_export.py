"""The table as CSV, Markdown, HTML, XLSX and PDF, read back by readers of others (experience.md, exports)."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import openpyxl
import pypdf
import pytest

from gatewayd import config
from gatewayd.points import export
from gatewayd.points.exports.listing import ExportRefused, listing
from tests.points.contract import ENUMS, ROWS
from tests.points.site import CONNECTORS, place, running, toml

Rows = list[dict[str, str]]


def from_csv(data: bytes) -> Rows:
    return list(csv.DictReader(io.StringIO(data.decode())))


def from_xlsx(data: bytes) -> Rows:
    sheet = openpyxl.load_workbook(io.BytesIO(data))["Registers"]
    head, *lines = sheet.iter_rows(values_only=True)
    return [{str(k): "" if v is None else str(v) for k, v in zip(head, line, strict=True)} for line in lines]


def from_markdown(data: bytes) -> Rows:
    """Tables as GitHub reads them: cells between bars that are not escaped."""
    rows: Rows = []
    head: list[str] = []
    for line in data.decode().splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not line.startswith("|"):
            head = []
        elif not head:
            head = cells
        elif set(line) != {"|", "-"}:
            rows.append(dict(zip(head, cells, strict=True)))
    return rows


class Tables(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: Rows = []
        self._head: list[str] = []
        self._cells: list[str] = []
        self._in = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "thead":
            self._head = []
        if tag == "tr":
            self._cells = []
        if tag in ("td", "th"):
            self._in = tag
            (self._cells if tag == "td" else self._head).append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr" and self._cells:
            self.rows.append(dict(zip(self._head, self._cells, strict=True)))
        if tag in ("td", "th"):
            self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in:
            (self._cells if self._in == "td" else self._head)[-1] += data


def from_html(data: bytes) -> Rows:
    page = Tables()
    page.feed(data.decode())
    return page.rows


READERS = {"csv": from_csv, "xlsx": from_xlsx, "md": from_markdown, "html": from_html}


def pdf_lines(data: bytes) -> list[str]:
    reader = pypdf.PdfReader(io.BytesIO(data), strict=True)
    return [line for page in reader.pages for line in page.extract_text().splitlines()]


# --- the contract -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", READERS)
def test_the_contract_is_complete(form: str) -> None:
    found = READERS[form](export.exported(form))
    for row, ours in zip(ROWS, found, strict=True):
        assert (ours["offset"], ours["name"], ours["type"], ours["access"], ours["enum"]) == (
            str(row.offset), row.name, row.type, row.access, row.enum)  # fmt: skip
        assert [ours[key] for key in ("minimum", "maximum", "default")] == [
            "" if number is None else str(number) for number in (row.minimum, row.maximum, row.default)
        ]


def test_numbers_of_the_workbook_are_numbers_and_texts_are_no_formulas() -> None:
    book = openpyxl.load_workbook(io.BytesIO(export.exported("xlsx")))
    cells = {cell.data_type for line in book["Registers"].iter_rows(min_row=2) for cell in line if cell.value}
    assert cells == {"n", "s"}
    assert {line[1].data_type for line in book["Registers"].iter_rows(min_row=2)} == {"n"}  # offset
    assert book["Registers"].auto_filter.ref == f"A1:L{len(ROWS) + 1}"
    listed = {line[0].value: line[1].value for line in book["Codes"].iter_rows(min_row=2)}
    assert set(listed) == set(ENUMS)
    assert listed["rate_unit"] == "0 A, 1 W"


def test_the_pdf_holds_every_point_and_every_code() -> None:
    lines = pdf_lines(export.exported("pdf"))
    for row in ROWS:
        pattern = rf"{row.offset} +{row.name} +{row.type} +{row.access}( |$)"
        assert any(re.match(pattern, line) for line in lines), row
    text = re.sub(" +", " ", " ".join(lines))
    for enum, codes in ENUMS.items():
        assert f"{enum}: " in text
        assert all(f"{code} {word}" in text for word, code in codes.items()), enum
    assert "3000·n + 300·k" in text


def test_no_line_of_the_pdf_leaves_its_page() -> None:
    reader = pypdf.PdfReader(io.BytesIO(export.exported("pdf")))
    assert len(reader.pages) > 1
    for number, page in enumerate(reader.pages, start=1):
        width, height = float(page.mediabox.width), float(page.mediabox.height)
        assert (width, height) == (842, 595)
        seen: list[str] = []

        def visit(text: str, _cm: object, matrix: list[float], font: object, size: float) -> None:
            if text.strip():
                x, y = matrix[4], matrix[5]
                assert 0 < y < height - size  # noqa: B023
                assert x + 0.6 * size * len(text.rstrip("\n")) <= width  # noqa: B023
                seen.append(text)  # noqa: B023

        page.extract_text(visitor_text=visit)
        assert f"{number} / {len(reader.pages)}" in "".join(seen)


@pytest.mark.parametrize("form", ["pdf", "xlsx"])
def test_the_same_table_gives_the_same_file(form: str) -> None:
    assert export.exported(form) == export.exported(form)


# --- a site -------------------------------------------------------------------------------------------------------


def expected(base: int) -> Iterator[tuple[int, int, str]]:
    """Unit id, printed address and name of every live point of the site, from the contract."""
    for unit, prefix in ((5, ""), (6, "bank2_")):
        yield from ((unit, row.offset + base, prefix + row.name) for row in ROWS if row.block == "gateway")
    for number, connectors in CONNECTORS.items():
        for row in ROWS:
            if row.block == "gateway":
                continue
            ks = {"matrix": range(connectors + 1), "connector": range(1, connectors + 1)}.get(row.block)
            for name in [f"cp{number:02}_{row.name}"] if ks is None else [f"cp{number:02}_c{k}_{row.name}" for k in ks]:
                at = place(name)
                yield at.unit, at.address + base, name


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("form", READERS)
def test_a_site_lists_its_live_points_and_no_others(form: str, base: int) -> None:
    found = READERS[form](export.exported(form, config.parse(toml(base=base), "site.toml")))
    listed = [(int(row["unit_id"]), int(row["address"]), row["name"]) for row in found]
    assert len(set(listed)) == len(listed)
    assert set(listed) == set(expected(base))


def test_every_listed_point_is_served_and_the_addresses_after_it_are_its_own() -> None:
    kit = running(toml(own=100))
    for each in listing(kit.config).listed:
        data = kit.bank(each.unit).read(each.address, each.point.registers)
        if each.own_unit is not None and each.own_address is not None:
            assert kit.bank(each.own_unit).read(each.own_address, each.point.registers) == data
        assert place(each.name).row.registers == each.point.registers


@pytest.mark.parametrize("form", READERS)
def test_charge_points_with_a_unit_id_of_their_own_are_listed_at_both(form: str) -> None:
    rows = READERS[form](export.exported(form, config.parse(toml(base=1, own=100), "site.toml")))
    own = {row["name"]: (row["own_unit_id"], row["own_address"]) for row in rows}
    assert own["cp07_c1_power_active_import_w"] == ("107", "367")
    assert own["cp01_connected"] == ("101", "1")
    assert own["cp21_connected"] == ("", "")  # bank 2 has none
    assert own["total_power_w"] == ("", "")


def test_the_pdf_of_a_site_holds_its_points() -> None:
    lines = pdf_lines(export.exported("pdf", config.parse(toml(), "site.toml")))
    for unit, address, name in expected(0):
        assert any(re.match(rf"{unit} +{address} +{name} ", line) for line in lines), name
    assert "Registers of east-wing" in lines


def test_the_note_says_how_registers_are_counted_and_coded() -> None:
    text = export.exported("md", config.parse(toml(base=1, order="little", strings="little", signed="ones"), "x"))
    assert b"first register is 1. 32-bit values: DCBA; signed: one's complement; texts: low byte first" in text


# --- where it is reached ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("", "192.168.100.246", 502),
        ('[modbus.tcp]\nhost = "10.0.0.5"\nport = 1502', "10.0.0.5", 1502),
        ('[network]\nmode = "static"\naddress = "192.168.1.9/24"', "192.168.1.9", 502),
        ("[modbus.tcp]\nport = 0", "192.168.100.246", 502),
    ],
)
def test_where_clients_dial(text: str, host: str, port: int) -> None:
    found = listing(config.parse(text, "site.toml"))
    assert (found.host, found.port) == (host, port)
    assert listing(config.parse(text, "site.toml"), "gateway.local").host == "gateway.local"


# --- the command --------------------------------------------------------------------------------------------------


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "gatewayd.points.export", *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


def test_the_command_prints_one_export(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(toml())
    done = run("--format", "xlsx", "--config", str(tmp_path / "site.toml"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == export.exported("xlsx", config.parse(toml(), "site.toml"))


@pytest.mark.parametrize(
    ("text", "form", "said"),
    [
        ("[modbus]\nunit = 1", "csv", "site.toml: modbus.unit: unknown key"),
        ('[modbus]\nsigned = "ones_complement"', "telegraf", "modbus.signed is ones_complement"),
        ("[modbus.tcp]\nenabled = false", "node-red", "modbus.tcp.enabled is false"),
        ('[modbus]\nword_order = "little"', "ignition", "modbus.word_order is little"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(tmp_path: Path, text: str, form: str, said: str) -> None:
    (tmp_path / "site.toml").write_text(text)
    done = run("--format", form, "--config", str(tmp_path / "site.toml"))
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith(said)
    assert done.stderr.count(b"\n") == 1


def test_a_missing_configuration_is_said() -> None:
    done = run("--config", "nowhere.toml")
    assert done.returncode == 2
    assert b"nowhere.toml" in done.stderr


def test_every_tool_refuses_by_the_same_exception() -> None:
    for tool in export.TOOLS:
        with pytest.raises(ExportRefused):
            export.exported(tool, config.parse("[modbus.tcp]\nenabled = false", "site.toml"))
