"""What the documents say exists, and nothing is in the repository that belongs to a machine or to nobody."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.house.generated import DOCUMENTS
from tests.house.sources import PROJECT, expect_none, files, plant

# Written so that this file does not hold what it looks for.
FOREIGN = {
    "names a registry": re.compile(r"pypi\.org|pythonhosted\.org|deb\.debian\.org|npmjs\.org"),
    "chooses a registry": re.compile(r"--(?:index-url|extra-index-url|find-links|trusted-host)\b"),
    "names a place of one machine": re.compile(r"(?<![\w.>)}-])/(?:work|root|home/[a-z]\w*|Users/\w+|tmp/\w+)/"),
    "holds a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\"'\\nr]*[A-Za-z0-9+/]{40}"),
}


def texts(root: Path) -> Iterator[tuple[Path, str]]:
    """Every text file of the tree; what is no UTF-8 is a picture or an archive."""
    for path in files(root):
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def targets(root: Path) -> dict[str, bool]:
    """The Makefile's targets, and whether each has a `##` comment."""
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    return {
        name: bool(rest.count("##")) for name, rest in re.findall(r"^([a-z][a-z-]*):(?!=)(.*)$", makefile, re.MULTILINE)
    }


def broken_commands(root: Path) -> list[str]:
    """`make` commands of the documents that do not exist, and targets that the README does not tell of."""
    known = targets(root)
    wrong, told = [], set()
    for path in files(root, "*.md"):
        text = path.read_text(encoding="utf-8")
        code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
        said = set(re.findall(r"\bmake ([a-z][a-z-]*)", code))
        wrong += [f"{path.relative_to(root)}: there is no `make {name}`" for name in sorted(said - set(known))]
        if path == root / "README.md":
            told = said
    return wrong + [
        f"README.md says nothing of `make {name}`" for name, shown in known.items() if shown and name not in told
    ]


def anchor(heading: str) -> str:
    """The name that a heading gets where Markdown is shown: lower case, blanks to dashes, no punctuation."""
    plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
    return plain.strip().replace(" ", "-")


def broken_links(root: Path) -> list[str]:
    """Links between the documents whose file or heading is not there."""
    wrong = []
    for path in files(root, "*.md"):
        text = re.sub(r"```.*?```|`[^`\n]+`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)[^)]*\)|(?:src|srcset|href)=\"([^\"]+)\"", text):
            address = "".join(link)
            if re.match(r"[a-z]+:", address):
                continue
            name, _, heading = address.partition("#")
            target = (path.parent / name).resolve() if name else path
            if not target.exists():
                wrong.append(f"{path.relative_to(root)}: {address} is not there")
            elif heading and heading not in map(
                anchor, re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            ):
                wrong.append(f"{path.relative_to(root)}: {address} has no such heading")
    return wrong


def stale_documents(root: Path, documents: Mapping[str, Callable[[], str]]) -> list[str]:
    """Generated documents that differ from what the code would print now."""
    found = {name: root / "docs" / name for name in documents}
    return [
        f"docs/{name} is stale: make docs"
        for name, path in found.items()
        if not path.exists() or path.read_text(encoding="utf-8") != documents[name]()
    ]


def foreign_matter(root: Path) -> list[str]:
    """Addresses of package registries, places of one machine, and keys."""
    wrong = []
    for path, text in texts(root):
        name = path.relative_to(root)
        for what, pattern in FOREIGN.items():
            for found in pattern.finditer(text):
                line = text.count("\n", 0, found.start()) + 1
                wrong.append(f"{name}:{line} {what}: {found[0][:40]}")
    return wrong


def test_commands_of_the_documents_exist() -> None:
    expect_none(broken_commands(PROJECT))


def test_links_lead_somewhere() -> None:
    expect_none(broken_links(PROJECT))


def test_generated_documents_are_fresh() -> None:
    expect_none(stale_documents(PROJECT, DOCUMENTS))


def test_nothing_is_here_that_is_not_ours() -> None:
    expect_none(foreign_matter(PROJECT))


def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "Makefile": "name := x\nrun: setup ## runs\n\tmake fly\nsetup: ## sets up\nhidden:\n",
            "README.md": "`make run` or make believe\n```\nmake  # prints\nmake vanish\n```\n",
            "docs/a.md": "type `make setup`\n",
        },
    )
    assert broken_commands(tmp_path) == [
        "README.md: there is no `make vanish`",
        "README.md says nothing of `make setup`",
    ]


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "README.md": '# One, *two*\n[a](docs/a.md) [b](docs/b.md#there "t") [c](#one-two) [d](#three) '
            '<img src="docs/no.svg"> [e](https://example.com/x) `[f](in-code)`\n',
            "docs/a.md": "[up](../README.md#one-two)\n",
            "docs/b.md": "# Here\n",
        },
    )
    assert broken_links(tmp_path) == [
        "README.md: docs/b.md#there has no such heading",
        "README.md: #three has no such heading",
        "README.md: docs/no.svg is not there",
    ]


def test_a_stale_document_is_named(tmp_path: Path) -> None:
    plant(tmp_path, {"docs/old.md": "old", "docs/new.md": "new"})
    documents = {"old.md": lambda: "new", "new.md": lambda: "new", "none.md": lambda: ""}
    assert stale_documents(tmp_path, documents) == [
        "docs/old.md is stale: make docs",
        "docs/none.md is stale: make docs",
    ]


def test_foreign_matter_is_named(tmp_path: Path) -> None:
    registry, option, place = ".".join(("pypi", "org")), "--" + "index-url", "/".join(("", "home", "ada", "x"))
    marker = "-----BEGIN EC PRIVATE KEY-----"
    free = " ".join(("/usr/bin/python3", "/".join(("$HOME", "work", "x")), "../root/y"))
    key = marker + "\n" + "MHcCAQEE" * 8
    plant(
        tmp_path,
        {
            "a.txt": f"https://{registry}/simple\n{option} x\ncp {place} /etc/x\n{key}\n",
            "fine.txt": f"{marker}\nshort\n{free}\n",
            "key.py": f'KEY = "{key}"'.replace("\n", "\\n"),
            ".venv/lib/x.txt": key,
        },
    )
    (tmp_path / "picture.png").write_bytes(b"\xff\xd8" + key.encode())
    assert foreign_matter(tmp_path) == [
        "a.txt:1 names a registry: " + registry,
        "a.txt:2 chooses a registry: " + option,
        "a.txt:3 names a place of one machine: " + place[:-1],
        f"a.txt:4 holds a private key: {key[:40]}",
        "key.py:1 holds a private key: " + key[:40].replace("\n", "\\n")[:40],
    ]
