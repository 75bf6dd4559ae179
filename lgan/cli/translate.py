"""`lgan-translate`: a folder of pictures through one task of a finished run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lgan.arguments import Count, Text, Whole
from lgan.cli.common import script
from lgan.errors import ConfigError


@dataclass(frozen=True)
class TranslateSettings:
    """What conf/translate.yaml asks for."""

    run: Text
    task: int | Text | None
    input: Text
    output: Text
    after: Whole | None
    trust: list[Text]
    direction: Literal["forward", "backward"]
    fit: Literal["none", "pad", "resize"]
    format: Text | None
    overwrite: bool
    batch_size: Count
    test_mode: Literal["eval", "paper"] | None
    seed: int
    device: Text


@script("translate")
def main(asked: TranslateSettings) -> None:
    """Run the console script `lgan-translate`."""
    from lgan.data.decoding import BACKGROUND
    from lgan.inference import translate
    from lgan.inference.load import load_run
    from lgan.inference.task_network import find_task, task_network
    from lgan.run.folder import RunFolder

    device = translate.choose_device(asked.device)
    method, border = load_run(asked.run, asked.after, asked.trust)
    network = task_network(method, border, find_task(border, asked.task), asked.direction)
    if not network.translates:
        raise ConfigError(
            f"run={asked.run} draws classes from noise and translates no pictures; see lgan-sample."
        )
    files = translate.list_pictures(Path(asked.input))
    pictures = translate.plan(network, files, Path(asked.output), asked.fit, asked.format)
    translate.check_output(pictures, asked.overwrite)
    test_mode = asked.test_mode or method.test_mode
    # Own data sets may have no such key.
    background = RunFolder(asked.run).load_config().data.splits.get("background", BACKGROUND)
    translate.translate(
        network, pictures, asked.batch_size, asked.seed, device, test_mode, background
    )
    print(f"{len(pictures)} pictures through {network.name}: {asked.output}", flush=True)


if __name__ == "__main__":
    main()
