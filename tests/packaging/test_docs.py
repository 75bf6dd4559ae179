"""README and docs/: every command composes, every key and link exists, mkdocs has no complaint."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from composing import compose, config_path, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(ROOT / "docs").rglob("*.md"),
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS, SCRIPTS = set(PROJECT["optional-dependencies"]), set(PROJECT["scripts"])
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, flags=re.M))
VARIABLES = set(re.findall(r"^(\w+) \?=", MAKEFILE, flags=re.M))
OTHERS = {"git", "cd", "source", "wandb", "torchrun", "kill", "sbatch", "mkdocs", "pytest"}
"""Commands of other projects, which are not tried."""


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fences(text: str) -> Iterator[tuple[str, str]]:
    """Yield language and text of each block of code."""
    yield from re.findall(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", text, flags=re.M | re.S)


def commands(text: str) -> Iterator[str]:
    """Yield the command lines of a page: of its blocks, and those in a sentence that set a key."""
    for language, block in fences(text):
        lines = re.sub(r"\\\n\s*", "", block).splitlines()
        known = (*SCRIPTS, "make ", "pip install")
        yield from (
            line.strip()
            for line in lines
            if (language == "sh" or (not language and line.startswith(known))) and line.strip()
        )
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S)
    yield from (span for span in re.findall(r"`(lgan-\w+ [^`]+)`", prose) if "=" in span)


def check_make(words: list[str]) -> None:
    for word in words:
        name, given, _ = word.partition("=")
        assert name in (VARIABLES if given else TARGETS), word


def check_script(name: str, words: list[str]) -> None:
    """Compose what a console script would, each value of a sweep once."""
    words = [word for word in words if word != "..." and not word.startswith("-")]
    if "--cfg" in words:
        words.remove("job")
    launchers = {plugin.__name__ for plugin in Plugins.instance().discover(Launcher)}
    if any("=ray" in word for word in words) and "RayLauncher" not in launchers:
        words = [word for word in words if "launcher" not in word]
    first, others = [], []
    for override in OverridesParser.create().parse_overrides([w for w in words if w != "job"]):
        if override.is_sweep_override():
            key = override.get_key_element()
            values = [f"{key}={value}" for value in override.sweep_string_iterator()]
            first.append(values[0])
            others += values[1:]
        else:
            first.append(override.input_line)
    for word in first:
        key, _, value = word.partition("=")
        if key == "table" and "/" in value:
            assert (ROOT / value).is_file(), value
    if name == "lgan-paper":  # composes without the groups, of which budget is one
        own = yaml.safe_load(Path(config_path(), "paper.yaml").read_text())
        assert {w.split("=")[0] for w in first if not w.startswith("hydra")} <= set(own)
        return
    for more in ([], *([other] for other in others)):
        kept = [w for w in first if not more or w.split("=")[0] != more[0].split("=")[0]]
        compose(name.removeprefix("lgan-"), [*kept, *more])


def check_command(words: list[str], line: str) -> None:
    words = words[1:] if words and re.fullmatch(r"[A-Z_]+=\S*", words[0]) else words
    if not words or words[0] in OTHERS or "my_conf" in line:  # tests/contributing has these
        return
    if words[0] in SCRIPTS:
        check_script(words[0], words[1:])
    elif words[0] == "make":
        check_make(words[1:])
    elif words[:2] == ["pip", "install"]:
        named = re.findall(r"\[([\w,]+)\]", line)
        assert {extra for group in named for extra in group.split(",")} <= EXTRAS, line
    else:
        module = re.match(r"python -m ([\w.]+)", " ".join(words))
        assert module and importlib.util.find_spec(module[1]), line


@pytest.fixture(scope="module")
def config() -> Iterator[None]:
    with initialize_config_dir(config_path(), version_base="1.3"):
        yield


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_can_be_given(page: Path, config: None) -> None:
    for line in commands(page.read_text()):
        words = shlex.split(line, comments=True)
        ends = [i for i, word in enumerate(words) if word in ("&&", "|", "&")]
        for begin, end in zip([0, *(i + 1 for i in ends)], [*ends, None], strict=True):
            check_command(words[begin:end], line)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        path = (page.parent / target).resolve() if target else page
        if ROOT / "docs" in path.parents and ids(path).removeprefix("docs/") in made():
            continue
        assert path.exists(), f"{ids(page)}: {link}"
        if anchor and not anchor.startswith("lgan."):  # of a docstring: mkdocs knows it
            titles = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.M)
            slugs = {re.sub(r"[^\w -]", "", t).strip().lower().replace(" ", "-") for t in titles}
            assert anchor in slugs, f"{ids(page)}: {link}"


@cache
def hooks() -> ModuleType:
    """Return what mkdocs calls, docs/hooks.py."""
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs/hooks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def made() -> dict[str, str]:
    """Return the pages that are read off conf/."""
    return dict(hooks().made_pages())


def keys(value: object, prefix: str = "") -> Iterator[str]:
    """Yield the keys of a yaml file, to the leaves."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from keys(inner, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix


def test_the_reference_has_every_key_of_every_file() -> None:
    ours = hooks()
    for path in sorted(Path(config_path()).rglob("*.yaml")):
        text = path.read_text()
        found = {setting.key for setting in ours.settings(path)}
        asked = {
            ".".join(filter(None, (ours.prefix_of(path), key)))
            for key in keys({k: v for k, v in (yaml.safe_load(text) or {}).items()
                             if k not in ("defaults", "hydra")})
        } if text.strip() else set()  # fmt: skip
        # What stands in braces on one line is its parent's value.
        asked = {key for key in asked if not any(key.startswith(f"{k}.") for k in found)}
        assert asked <= found | {ours.prefix_of(path), ""}, path
    pages = made()
    assert "lambda_RA, MeRGAN's paper on SVHN" in pages["reference/config/method.md"].replace(
        "\\", ""
    )
    assert all(f"## {name}\n" in pages["reference/scripts.md"] for name in SCRIPTS)


def test_every_key_that_a_page_names_exists() -> None:
    ours = hooks()
    known = {s.key for p in Path(config_path()).rglob("*.yaml") for s in ours.settings(p)}
    sections = {key.split(".")[0] for key in known if "." in key} - {"lgan"}
    for page in PAGES:
        if page.name == "CONTRIBUTING.md":  # its keys are of its own examples
            continue
        for key in re.findall(r"`([a-z]+(?:\.[a-z_0-9]+)+)[`=]", page.read_text()):
            if key.split(".")[0] in sections and not key.endswith((".md", ".yaml", ".py", ".json")):
                assert any(k == key or k.startswith(f"{key}.") for k in known), f"{page}: {key}"


def test_every_method_has_its_page_and_its_row_in_readme() -> None:
    methods = {path.stem for path in Path(config_path(), "method").glob("*.yaml")}
    pages = "\n".join(p.read_text() for p in (ROOT / "docs/explanations/methods").glob("*.md"))
    assert methods <= set(re.findall(r"<!-- settings: (\w+) -->", pages))
    rows = [
        line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")
    ]
    assert methods <= set(re.findall(r"`(\w+)`", "\n".join(rows)))
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_menu_has_every_page_and_group() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r"- ([\w/.-]+\.md)$", text, flags=re.M))
    written = {ids(page).removeprefix("docs/") for page in (ROOT / "docs").rglob("*.md")}
    assert listed == written | set(made()) | {
        "CONTRIBUTING.md", "CHANGELOG.md"}  # fmt: skip


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_or_a_network(tmp_path: Path) -> None:
    pytest.importorskip("mkdocstrings_handlers.python", reason="lgan[docs] is not installed")
    pytest.importorskip("material", reason="lgan[docs] is not installed")
    place = {
        "NO_MKDOCS_2_WARNING": "1",
        "no_proxy": "",
        "https_proxy": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT, env=os.environ | place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link)[^>]+(?:src|href)=\"?(https?:[^\"> ]+)", page.read_text()
        )
        assert not loaded, page
