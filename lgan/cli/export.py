"""`lgan-export`: one task's generator of a finished run, for other programs."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lgan.cli.common import run_script
from lgan.errors import ConfigError, RunError, warn
from lgan.files import write_json
from lgan.inference.export import REPORT, check_output, choose_formats, describe, export, show


def _run(config: DictConfig) -> None:
    from lgan.inference.sample import load_run
    from lgan.inference.task_network import find_task, task_network

    for key in ("run", "output", "formats"):
        if config[key] is None:
            raise ConfigError(f"{key}=... is missing; see lgan-export --help.")
    asked = config.formats
    names = list(map(str, asked)) if OmegaConf.is_list(asked) else [str(asked)]
    method, border = load_run(config.run, config.after, config.trust)
    task, output = find_task(border, config.task), Path(config.output)
    network = task_network(method, border, task, config.direction)
    formats = choose_formats(names, method)
    check_output(output, formats, config.overwrite)
    rows = export(network, formats, output)
    facts = {"run": str(config.run), "method": method.name, "after": border["task"]}
    write_json(output / REPORT, facts | describe(network) | {"formats": rows})
    if method.test_mode != "eval":
        warn(
            "this run was measured with training.test_mode=paper, as in training; exported "
            "networks are in eval mode, without dropout."
        )
    show(rows)
    if all("refused" in row for row in rows.values()):
        raise RunError(f"nothing was exported to {output}; see the reasons above.")
    print(f"{network.name}: {output}", flush=True)


def main() -> None:
    """Run the console script `lgan-export`."""
    run_script(_run, "export")


if __name__ == "__main__":
    main()
