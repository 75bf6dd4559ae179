"""`lgan-sample`: images from a finished run, without repeating its config."""

from pathlib import Path

from lgan.arguments import Count, Text
from lgan.cli.common import script


@script("sample")
def main(
    run: Text,
    task: int | Text | None,
    classes: list[int | Text] | None,
    after: int | Text | None,
    trust: list[Text],
    n: Count,
    seed: int,
    output: Text | None,
    overwrite: bool,
) -> None:
    """Run the console script `lgan-sample`."""
    # Imported here, as in all scripts, so that `--help` answers at once.
    import lgan
    from lgan.files import refuse_existing
    from lgan.inference.sample import GRID, folders_of, sample_classes, save_images

    opened = lgan.load(run, trust=trust)
    border = opened.state(after)[1]
    numbers = list(dict.fromkeys(sample_classes(border, task, classes)))
    place = Path(output or Path(run) / "generated")
    folders = folders_of(border, numbers, place)
    refuse_existing((place / GRID, *folders), overwrite)  # before the work
    images, _ = opened.generate(numbers, n, seed, after)
    save_images(images, folders, place, overwrite)
    names = ", ".join(str(border["class_names"][c]) for c in numbers)
    print(f"{len(images)} images of {names}: {place}", flush=True)


if __name__ == "__main__":
    main()
