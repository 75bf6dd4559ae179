"""`lgan-sample`: images from a finished run, without repeating its config."""

from dataclasses import dataclass
from pathlib import Path

from lgan.arguments import Count, Text, Whole
from lgan.cli.common import script
from lgan.errors import ConfigError


@dataclass(frozen=True)
class SampleSettings:
    """What conf/sample.yaml asks for."""

    run: Text
    task: int | Text | None
    after: Whole | None
    trust: list[Text]
    n: Count
    seed: int
    output: Text | None
    overwrite: bool


@script("sample")
def main(asked: SampleSettings) -> None:
    """Run the console script `lgan-sample`."""
    # Imported here, as in all scripts, so that `--help` answers at once.
    from lgan.files import refuse_existing
    from lgan.inference.load import load_run
    from lgan.inference.sample import GRID, draw, folders_of, sample_classes, save_images
    from lgan.inference.task_network import task_network

    method, border = load_run(asked.run, asked.after, asked.trust)
    classes = sample_classes(border, asked.task)
    if task_network(method, border, 0).translates:
        raise ConfigError(
            f"run={asked.run} translates pictures and draws none from noise; see lgan-translate."
        )
    output = Path(asked.output or Path(asked.run) / "generated")
    folders = folders_of(border, classes, output)
    refuse_existing((output / GRID, *folders), asked.overwrite)  # before the work
    save_images(draw(method, classes, asked.n, asked.seed), folders, output, asked.overwrite)
    names = [str(border["class_names"][c]) for c in classes]
    print(f"{len(classes) * asked.n} images of {', '.join(names)}: {output}", flush=True)


if __name__ == "__main__":
    main()
