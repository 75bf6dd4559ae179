"""What mkdocs is given beside the pages here: conf/, experiments/ and the long files of the root.

The reference of the config is read off the yaml files and their comments. Pages refer to the rest
of the repository as they do on a code host, by paths from where they lie.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
GROUPS = {
    "method": "What protects the old tasks.",
    "data": "What is learnt, cut into tasks.",
    "network": "Generator and discriminator.",
    "objective": "The losses of the two players.",
    "evaluation": "What is measured after each task, and with what.",
    "budget": "How long is trained.",
    "preset": "The reading of paper or code, where they differ.",
    "recipe": "What a paper, or we, set for a method on a data set; taken without being asked for.",
    "selection": "Which state's accuracy is recorded.",
    "trainer": "Devices, processes, precision.",
    "callbacks": "What happens between steps and at borders.",
    "logger": "Where numbers and pictures go as they come.",
    "experiment": "Whole sweeps, to be named on the command line.",
}
"""Groups of conf/, in the order of the reference; any that is not named here comes behind."""
HYDRAS = ("defaults", "hydra")
LINE = re.compile(r"^(?P<indent> *)(?P<key>[\w/@.]+|\"[^\"]+\"):(?: +(?P<rest>.*))?$")
OUTER = (
    r"(?:\.\./)+((?:experiments/|conf/|lgan/|tests/|CHANGELOG|CONTRIBUTING|README|LICENSE)[^)\s]*)"
)


class Setting(NamedTuple):
    """A line of a yaml file: the key as it is typed, the value, what the comments say."""

    key: str
    value: str
    comment: str


# -------------------------------------------------------------------------------------- conf/


def groups() -> list[str]:
    """Return the groups of conf/, those that are known in their order."""
    found = [path.name for path in CONF.iterdir() if path.is_dir() and any(path.rglob("*.yaml"))]
    found = [name for name in found if name != "local"]
    return [g for g in GROUPS if g in found] + sorted(set(found) - set(GROUPS))


def prefix_of(path: Path) -> str:
    """Return what stands before the keys of a file as they are typed."""
    package = re.search(r"^# @package (\S+)", path.read_text(), flags=re.M)
    if package:
        return "" if package[1] == "_global_" else package[1]
    folder = path.relative_to(CONF).parent
    return "network" if folder.parts[:2] == ("recipe", "network") else ".".join(folder.parts[:1])


def about(path: Path) -> str:
    """Return the comment at the head of a file, as one paragraph."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.lstrip("# ").rstrip())
    return " ".join(lines)


def split_comment(text: str) -> tuple[str, str]:
    """Return a value and the comment behind it; a # within quotes begins none."""
    found = re.match(r"""((?:"[^"]*"|'[^']*'|[^#"']|(?<! )\#)*)(?:#(.*))?$""", text)
    return (found[1].strip(), (found[2] or "").strip()) if found else (text.strip(), "")


def settings(path: Path) -> list[Setting]:
    """Return what a yaml file sets, but for what is Hydra's own."""
    prefix, found, above = prefix_of(path), list[Setting](), list[str]()
    stack: list[tuple[int, str]] = []
    lines = path.read_text().splitlines()
    head = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    inside: int | None = None  # indent of the key whose list or text goes on over lines
    for line in lines[head:]:
        match, indent = LINE.match(line), len(line) - len(line.lstrip())
        if inside is not None and line.strip() and indent <= inside:
            inside = None
        if line.strip().startswith("#"):
            above.append(line.strip("# "))
        elif found and line.strip() and (inside is not None or not match):
            inside = stack[-1][0] if inside is None else inside
            value = f"{found[-1].value} {split_comment(line.strip())[0]}".strip()
            found[-1], above = found[-1]._replace(value=value), []
        elif match:
            stack = [s for s in stack if s[0] < indent]
            value, comment = split_comment(match["rest"] or "")
            names = [prefix, *(name for _, name in stack), match["key"].strip('"')]
            stack.append((indent, names[-1]))
            said = " ".join([*above, comment]).strip()
            found.append(Setting(".".join(filter(None, names)), value, said))
            above = []
            inside = indent if value[:1] in (">", "|") else None
    own = [s for s in found if s.key.removeprefix(f"{prefix}.").split(".")[0] not in HYDRAS]
    keys = [s.key for s in own]
    return [
        s for s in own if s.value or s.comment or not any(k.startswith(f"{s.key}.") for k in keys)
    ]


def escaped(text: str) -> str:
    """Return a text as a cell of a table that is Markdown."""
    return re.sub(r"([|<>*_`\[\]])", r"\\\1", text)


def code(text: str) -> str:
    """Return a cell of code."""
    return f"`{text}`".replace("|", "\\|") if text else ""


def table(found: list[Setting]) -> str:
    """Return settings as a table."""
    if not found:
        return "Sets nothing of its own.\n"
    rows = [f"| {code(s.key)} | {code(s.value)} | {escaped(s.comment)} |" for s in found]
    return "\n".join(["| key | value | what it is, and where it is from |", "|---|---|---|", *rows])


def taken(path: Path) -> str:
    """Return which other files one begins with."""
    listed = (yaml.safe_load(path.read_text()) or {}).get("defaults", [])
    shown = [
        d if isinstance(d, str) else ", ".join(f"{k}={v}" for k, v in d.items()) for d in listed
    ]
    shown = [text.removeprefix("override ").lstrip("/") for text in shown if text != "_self_"]
    return f"Begins with: {', '.join(code(text) for text in shown)}.\n\n" if shown else ""


def group_page(group: str) -> str:
    """Return the page of a group: each choice, and what it sets."""
    parts = [f"# {group}\n\n{GROUPS.get(group, '')}\n\nMade from `conf/{group}/`.\n"]
    for path in sorted((CONF / group).rglob("*.yaml")):
        name = path.relative_to(CONF / group).with_suffix("").as_posix()
        parts.append(f"## {group}={name}\n" if group != "recipe" else f"## {name}\n")
        parts.append(f"{escaped(about(path))}\n\n{taken(path)}{table(settings(path))}\n")
    return "\n".join(parts)


def index_page() -> str:
    """Return the list of groups."""
    rows = [f"| [{g}]({g}.md) | {GROUPS.get(g, '')} |" for g in groups()]
    return (
        "# Configuration\n\nEvery key of every file in `conf/`, with the comment beside it there: "
        "what it is, and where its value is from. `lgan-train --cfg job` shows what they "
        "come to for a run.\n\n| group | what it chooses |\n|---|---|\n" + "\n".join(rows) + "\n"
    )


def scripts_page() -> str:
    """Return the page of the console scripts: help and keys."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    parts = ["# Console scripts\n\nSettings are written `key=value`; `--help` shows them all.\n"]
    for name in scripts:
        path = CONF / f"{name.removeprefix('lgan-')}.yaml"
        parts.append(f"## {name}\n")
        if not path.exists():
            parts.append("Says which scripts there are; `--version`, as of every script.\n")
            continue
        template = yaml.safe_load(path.read_text())["hydra"]["help"]["template"]
        shown = template.partition("== ")[0].rstrip()
        parts.append(f"```text\n{shown}\n```\n\n{table(settings(path))}\n")
        if name == "lgan-train":
            parts.append("The groups are told in the [configuration](config/index.md).\n")
    return "\n".join(parts)


# ------------------------------------------------------------- what pages ask for by a comment


def departures(method: str) -> str:
    """Return what papers and codes have for a method, as their tables are compared with it."""
    rows = []
    for path in sorted((ROOT / "experiments").glob("*/paper.yaml")):
        for entry in yaml.safe_load(path.read_text()).get("settings", []):
            when = entry.get("when", {})
            names = when.get("method.name", [])
            if method not in ([names] if isinstance(names, str) else names):
                continue
            where = when.get("data.name", "all data")
            values = [f"`{key}={shown(value)}`" for key, value in entry.get("values", {}).items()]
            said = " ".join(str(entry[key]) for key in ("says", "why") if key in entry)
            where = where if isinstance(where, str) else ", ".join(where)
            cells = (entry["source"], escaped(where), "<br>".join(values), escaped(said))
            rows.append(f"| {' | '.join(cells)} |")
    if not rows:
        return "No table of a paper is compared with this method's settings.\n"
    rows = list(dict.fromkeys(rows))
    return "\n".join(["| source | data | has | and |", "|---|---|---|---|", *rows])


def shown(value: Any) -> str:  # noqa: ANN401
    """Return a value as it is typed."""
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return f"{value:g}" if isinstance(value, float) else str(value)


def method_settings(name: str) -> str:
    """Return a method's file in conf/."""
    path = CONF / "method" / f"{name}.yaml"
    return f"{escaped(about(path))}\n\n{taken(path)}{table(settings(path))}\n"


def section(names: str) -> str:
    """Return sections of CONTRIBUTING.md, by title."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    parts = []
    for name in names.split(", "):
        body = text.partition(f"\n## {name}\n")[2]
        parts.append(f"## {name}\n" + re.split(r"^## ", body, flags=re.M)[0])
    return "\n".join(parts)


MADE: dict[str, Callable[[str], str]] = {
    "settings": method_settings,
    "departures": departures,
    "section": section,
}


# ------------------------------------------------------------------------------ called by mkdocs


def made_pages() -> Iterator[tuple[str, str]]:
    """Yield place and text of each page that is made."""
    yield "reference/scripts.md", scripts_page()
    yield "reference/config/index.md", index_page()
    for group in groups():
        yield f"reference/config/{group}.md", group_page(group)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made, and what lies elsewhere in the repository."""
    from mkdocs.structure.files import File

    for place, text in made_pages():
        files.append(File.generated(config, place, content=text))
    # Of records, which tables are made of, only the page that tells of them.
    records = ROOT / "experiments/records"
    others = [
        p
        for p in (ROOT / "experiments").rglob("*")
        if p.is_file() and (records not in p.parents or p == records / "README.md")
    ]
    for path in [*others, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]:
        place = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what a page asks for, and turn paths of the repository to the site's."""
    made = re.sub(
        r"^<!-- (\w+): (.+?) -->$",
        lambda found: MADE[found[1]](found[2]),
        markdown,
        flags=re.M,
    )
    depth = page.file.src_uri.count("/")
    if not depth:  # from the root's pages
        made = made.replace("](docs/", "](")

    def inside(found: re.Match[str]) -> str:
        target, _, anchor = found[1].partition("#")
        if files.get_file_from_path(target) is None:  # of the sources: named, not linked
            return found[0]
        return "](" + "../" * depth + target + ("#" + anchor if anchor else "") + ")"

    return re.sub(r"\]\(" + OUTER + r"\)", inside, made)
