"""The root's bill of materials, CycloneDX 1.6 as JSON: every Debian and Python package with version and licence.

`bill_of_materials.py DEBS PYTHON`: the folder of the .deb files that were unpacked, and the folder of the
Python packages. What is printed depends on those alone, so that equal roots have equal bills.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

LICENCE = re.compile(r"^License:\s*(\S.*)$", re.MULTILINE)
PRODUCT = "ocpp-modbus-gateway"


def debian(folder: Path) -> Iterator[dict[str, Any]]:
    """A component for each package file."""
    for path in sorted(folder.glob("*.deb")):
        shown = subprocess.run(
            ["dpkg-deb", "--show", "--showformat=${Package}\t${Version}\t${Architecture}", path],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        name, version, architecture = shown.stdout.split("\t")
        yield component(
            name,
            version,
            f"pkg:deb/debian/{name}@{version}?arch={architecture}&distro=debian-13",
            copyrights(path, name),
        )


def copyrights(path: Path, name: str) -> list[str]:
    """The licences that the package's machine-readable copyright file names; none where it has no such file."""
    archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], capture_output=True, check=True).stdout
    found = subprocess.run(
        ["tar", "-xO", f"./usr/share/doc/{name}/copyright"], input=archive, capture_output=True, check=False
    )
    return sorted(set(LICENCE.findall(found.stdout.decode(errors="replace"))))


def python(folder: Path) -> Iterator[dict[str, Any]]:
    """A component for each Python package but the product itself."""
    for package in sorted(distributions(path=[str(folder)]), key=lambda each: each.name.lower()):
        if package.name != PRODUCT:
            name = package.name.lower()
            yield component(package.name, package.version, f"pkg:pypi/{name}@{package.version}", licences(package))


def licences(package: Distribution) -> list[str]:
    expression = package.metadata.get("License-Expression") or ""
    classified = [
        each.rpartition(" :: ")[2]
        for each in package.metadata.get_all("Classifier") or []
        if each.startswith("License :: ")
    ]
    plain = (package.metadata.get("License") or "").partition("\n")[0]
    return [expression] if expression else classified or ([plain] if plain else [])


def component(name: str, version: str, purl: str, terms: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if terms:
        made["licenses"] = [{"license": {"name": each}} for each in terms]
    return made


def bill(debs: Path, packages: Path) -> dict[str, Any]:
    """The whole document."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "firmware", "bom-ref": PRODUCT, "name": PRODUCT}},
        "components": [*debian(debs), *python(packages)],
    }


if __name__ == "__main__":
    json.dump(bill(Path(sys.argv[1]), Path(sys.argv[2])), sys.stdout, indent=1)
    print()
