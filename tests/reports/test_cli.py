"""Entry points: clean stdout, one-sentence errors, sweeps that go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import warm
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from lgan.cli.common import friendly_errors, own_error
from lgan.errors import ConfigError, RunError

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.slow


def call(
    module: str, *arguments: str, cwd: Path, full: bool = False, python: str | None = None
) -> subprocess.CompletedProcess:
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    if full:
        environment["HYDRA_FULL_ERROR"] = "1"
    command = [python or warm.python(), "-m", module, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_table_prints_nothing_but_the_table_and_leaves_no_files(runs: Path, tmp_path: Path):
    done = call("lgan.cli.table", f"runs={runs}", cwd=tmp_path, python=sys.executable)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("### digits\n")
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_report_is_written_and_warns_of_what_it_leaves_out(make_run, tmp_path: Path):
    make_run("sft")
    make_run("sft", 1, rows=1)
    arguments = [f"runs={tmp_path}", "output=sub/r.html", "title=Mine"]
    done = call("lgan.cli.report", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "<title>Mine</title>" in (tmp_path / "sub/r.html").read_text()
    assert done.stderr.startswith("warning: left out")


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("table", ["runs=nowhere"], "folder nowhere does not exist"),
        ("table", [], "runs=... is missing"),
        ("table", ["-m", "runs=a,b"], "-m: lgan-table does not sweep; lgan-train, lgan-extend and"),
        ("table", ["runs=.", "format=pdf"], "format=pdf must be one of markdown, latex, csv"),
        ("report", ["runs=."], "no run found below"),
        ("sample", ["run=.", "n=x"], "n=x must be a whole number of at least 1"),
        (
            "translate",
            ["run=.", "task=0", "input=.", "output=x", "fit=foo"],
            "fit=foo must be one of",
        ),
        (
            "export",
            ["run=.", "task=0", "output=x", "formats=[foo]"],
            "formats=['foo'] must be a list",
        ),
        ("paper", ["budget=cpu"], "table=... is missing"),
    ],
)
def test_mistakes_end_in_one_sentence(tmp_path: Path, module, arguments, message):
    python = None if module == "table" else sys.executable  # which a test above starts anew
    done = call(f"lgan.cli.{module}", *arguments, cwd=tmp_path, python=python)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_trace_is_shown_on_demand(tmp_path: Path):
    done = call("lgan.cli.table", "runs=nowhere", cwd=tmp_path, full=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_dry_run_prints_commands(tmp_path: Path):
    table = ROOT / "experiments/mergan/table1.yaml"
    arguments = [f"table={table}", "budget=cpu", "methods=[sft]", "dry_run=true"]
    done = call("lgan.cli.paper", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    commands = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert [command.split()[:2] for command in commands] == [
        ["lgan-train", "data=mnist"],
        ["lgan-train", "data=svhn"],
        ["lgan-train", "data=fashion_mnist"],
        ["lgan-train", "data=image_folder"],
    ]
    assert "paths.runs=outputs/table1-cpu" in commands[0]


APP = """
import hydra
from lgan.cli.common import friendly_errors
from lgan.errors import RunError

@hydra.main(version_base="1.3", config_path=None, config_name=None)
@friendly_errors
def main(config):
    print("job", config.x, flush=True)
    if config.x == 1:
        raise RunError("one is bad")

main()
"""


def test_a_sweep_goes_on_after_a_failed_job_and_ends_with_code_1(tmp_path: Path):
    (tmp_path / "app.py").write_text(APP)
    done = call("app", "-m", "+x=0,1,2", cwd=tmp_path)
    assert [line for line in done.stdout.splitlines() if line.startswith("job")] == [
        "job 0",
        "job 1",
        "job 2",
    ]
    assert done.returncode == 1
    assert done.stderr.startswith("error: one is bad")
    assert "Traceback" not in done.stderr


def test_errors_behind_hydras_wrapper_are_found(capsys):
    @friendly_errors
    def fail(config):
        try:
            raise ConfigError("steps=0 must be at least 1.")
        except ConfigError as error:
            raise InstantiationException("Error in call to target") from error

    with pytest.raises(SystemExit) as stop:
        fail(OmegaConf.create())
    assert stop.value.code == 1
    assert capsys.readouterr().err == "error: steps=0 must be at least 1.\n"


def test_other_exceptions_pass_through():
    @friendly_errors
    def fail(config):
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        fail(OmegaConf.create())
    assert own_error(KeyError()) is None
    assert isinstance(own_error(RunError("x")), RunError)
