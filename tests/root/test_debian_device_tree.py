"""Our overlay on the device tree that Debian 13 ships for the CM4 IO Board, out of its kernel package for arm64.

apt is used as this machine has it set up, with another suite and lists of its own, so that nothing of it changes.
"""

import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.image.test_device_tree import judge, merge

SUITE = "trixie"


@pytest.fixture(scope="module")
def debian_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("debian")
    (work / "lists/partial").mkdir(parents=True)
    (work / "cache/archives/partial").mkdir(parents=True)
    (work / "status").touch()
    format_ = ["--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    uris = subprocess.run(["apt-get", "indextargets", *format_], capture_output=True, text=True, check=True).stdout
    uri = next(uri for uri in uris.split() if "security" not in uri)
    (work / "sources.list").write_text(f"deb {uri} {SUITE} main\n")
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    subprocess.run(["apt-get", *options, "-q", "update"], check=True, cwd=work)
    depends = subprocess.run(
        ["apt-cache", *options, "depends", "linux-image-arm64"], capture_output=True, text=True, check=True
    ).stdout
    package = next(word for word in depends.split() if word.startswith("linux-image-6"))
    subprocess.run(["apt-get", *options, "-q", "download", package], check=True, cwd=work)
    (deb,) = work.glob("*.deb")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as unpacking:
        with tarfile.open(fileobj=unpacking.stdout, mode="r|") as files:
            for member in files:
                content = (
                    files.extractfile(member) if member.name.endswith("/broadcom/bcm2711-rpi-cm4-io.dtb") else None
                )
                if content is not None:
                    (work / "debian.dtb").write_bytes(content.read())
        unpacking.wait()
    return work / "debian.dtb"


def test_our_overlay_on_debians_tree(debian_tree: Path, tmp_path: Path) -> None:
    done = merge(debian_tree, tmp_path / "result.dtb")
    assert (done.returncode, done.stderr) == (0, "")
    judge(tmp_path / "result.dtb", "/soc/gpio@7e200000", "/soc/serial@7e201000", "/soc/serial@7e215040")
