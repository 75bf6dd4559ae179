"""`lgan-sample`: images from a finished run, without repeating its config."""

from pathlib import Path

from lgan.arguments import Count, Text, Whole
from lgan.cli.common import script
from lgan.errors import ConfigError


@script("sample")
def main(
    run: Text,
    task: int | Text | None,
    after: Whole | None,
    trust: list[Text],
    n: Count,
    seed: int,
    output: Text | None,
    overwrite: bool,
) -> None:
    """Run the console script `lgan-sample`."""
    # Imported here, as in all scripts, so that `--help` answers at once.
    from lgan.files import refuse_existing
    from lgan.inference.load import load_run
    from lgan.inference.sample import GRID, draw, folders_of, sample_classes, save_images
    from lgan.inference.task_network import task_network

    method, border = load_run(run, after, trust)
    classes = sample_classes(border, task)
    if task_network(method, border, 0).translates:
        raise ConfigError(
            f"run={run} translates pictures and draws none from noise; see lgan-translate."
        )
    place = Path(output or Path(run) / "generated")
    folders = folders_of(border, classes, place)
    refuse_existing((place / GRID, *folders), overwrite)  # before the work
    save_images(draw(method, classes, n, seed), folders, place, overwrite)
    names = [str(border["class_names"][c]) for c in classes]
    print(f"{len(classes) * n} images of {', '.join(names)}: {place}", flush=True)


if __name__ == "__main__":
    main()
