"""Sdist and wheel, not the checkout: built one from the other, installed and used elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "CHANGELOG.md", "CITATION.cff",
           "LICENSE", "lgan", "conf")  # fmt: skip


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Return what a Python command prints, in an environment without the checkout."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Built from a copy, so that build/ and egg-info do not end up in the checkout.
    folder = tmp_path_factory.mktemp("sdist")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "local")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    program = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    run("-c", program, cwd=source)
    [built] = folder.glob("lgan-*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    run("-m", "pip", "wheel", *options, "--wheel-dir", folder, sdist, cwd=folder)
    [built] = folder.glob("lgan-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    options = ("--no-deps", "--no-index", "--quiet", "--target", target)
    run("-m", "pip", "install", *options, wheel, cwd=target)
    return target


def test_every_module_and_yaml_file_is_in_the_wheel(wheel: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "lgan").rglob("*.py")}
    configs = {f"lgan/{p.relative_to(ROOT)}" for p in (ROOT / "conf").rglob("*.yaml")}
    configs -= {name for name in configs if name.startswith("lgan/conf/local/")}
    assert modules - shipped == set()
    assert configs - shipped == set()
    assert "lgan/conf/network/mergan32.yaml" in shipped
    assert {"lgan/py.typed", "lgan/conf/__init__.py"} <= shipped
    assert not [name for name in shipped if name.startswith(("tests", "conf", "experiments"))]


def test_files_that_are_neither_python_nor_yaml_are_in_the_wheel(wheel: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())
    others = {
        str(p.relative_to(ROOT))
        for p in (ROOT / "lgan").rglob("*")
        if p.is_file() and p.suffix != ".pyc" and "__pycache__" not in p.parts
    }
    assert others - shipped == set()


def test_the_installed_package_composes_its_config_far_from_the_checkout(
    installed: Path, tmp_path: Path
) -> None:
    where = run("-c", "import lgan; print(lgan.__file__)", cwd=tmp_path, PYTHONPATH=str(installed))
    assert Path(where.strip()).is_relative_to(installed)
    command = ("-m", "lgan.cli.train", "data=mnist", "method=mergan_ra", "--cfg", "job")
    shown = run(*command, cwd=tmp_path, PYTHONPATH=str(installed))
    assert "lgan.networks.dcgan.Mergan32Generator" in shown
    assert "name: mergan_ra" in shown


def test_the_config_package_is_found_by_name(installed: Path, tmp_path: Path) -> None:
    program = (
        "from hydra import compose, initialize_config_module\n"
        "with initialize_config_module('lgan.conf', version_base='1.3'):\n"
        "    print(compose(overrides=['+network=mergan32']).network.name)\n"
    )
    shown = run("-c", program, cwd=tmp_path, PYTHONPATH=str(installed))
    assert shown.strip() == "mergan32"


def test_both_can_be_uploaded(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    pytest.importorskip("twine", reason="twine is not installed")
    said = run("-m", "twine", "check", "--strict", sdist, wheel, cwd=tmp_path)
    assert said.count("PASSED") == 2


def test_the_versions_of_python_are_those_that_are_tried() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert 'requires-python = ">=3.11"' in text
    stated = re.findall(r"Programming Language :: Python :: (3\.\d+)", text)
    assert stated == ["3.11", "3.12", "3.13"]
    assert "Python 3.11 to 3.13" in (ROOT / "README.md").read_text()


def test_every_console_script_has_its_function() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert {"lgan-train", "lgan-table", "lgan-report", "lgan-sample", "lgan-paper"} <= set(scripts)
    for name, target in scripts.items():
        module, function = target.split(":")
        file = ROOT / Path(*module.split(".")).with_suffix(".py")
        assert file.exists(), f"{name} names {module}, which does not exist"
        assert f"def {function}(" in file.read_text(), f"{name} needs {module}.{function}"


def test_one_version_everywhere(wheel: Path) -> None:
    import lgan

    assert wheel.name.startswith(f"lgan-{lgan.__version__}-")
    assert f"version: {lgan.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{lgan.__version__}] - 20" in (ROOT / "CHANGELOG.md").read_text()


def test_make_alone_lists_the_targets() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    done = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    tables = ("table-mergan-1", "table-mergan-2", "table-dgm-1", "table-dgm-4", "figure-dgm-6")
    for target in ("setup", "lint", "test", "demo", "bench", *tables):
        assert f"  {target} " in done.stdout
