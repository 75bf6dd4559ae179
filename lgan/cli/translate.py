"""`lgan-translate`: a folder of pictures through one task of a finished run."""

from pathlib import Path
from typing import Literal

from lgan.arguments import Count, Text, Whole
from lgan.cli.common import script
from lgan.errors import ConfigError


@script("translate")
def main(
    run: Text,
    task: int | Text | None,
    input: Text,
    output: Text,
    after: Whole | None,
    trust: list[Text],
    direction: Literal["forward", "backward"],
    fit: Literal["none", "pad", "resize"],
    format: Text | None,
    overwrite: bool,
    batch_size: Count,
    test_mode: Literal["eval", "paper"] | None,
    seed: int,
    device: Text,
) -> None:
    """Run the console script `lgan-translate`."""
    from lgan.data.decoding import BACKGROUND
    from lgan.inference import translate
    from lgan.inference.load import load_run
    from lgan.inference.task_network import find_task, task_network
    from lgan.run.folder import RunFolder

    chosen = translate.choose_device(device)
    method, border = load_run(run, after, trust)
    network = task_network(method, border, find_task(border, task), direction)
    if not network.translates:
        raise ConfigError(
            f"run={run} draws classes from noise and translates no pictures; see lgan-sample."
        )
    files = translate.list_pictures(Path(input))
    pictures = translate.plan(network, files, Path(output), fit, format)
    translate.check_output(pictures, overwrite)
    mode = test_mode or method.test_mode
    # Own data sets may have no such key.
    background = RunFolder(run).load_config().data.splits.get("background", BACKGROUND)
    translate.translate(network, pictures, batch_size, seed, chosen, mode, background)
    print(f"{len(pictures)} pictures through {network.name}: {output}", flush=True)


if __name__ == "__main__":
    main()
