"""`lgan-sample`: images from a finished run, without repeating its config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lgan.arguments import Count, Text, Whole
from lgan.cli.common import script


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


@script("sample")
def main(asked: SampleSettings) -> None:
    """Run the console script `lgan-sample`."""
    # Imported here, as in all scripts, so that `--help` answers at once.
    from lgan.inference.load import load_run
    from lgan.inference.sample import draw, sample_classes, save_images

    method, border = load_run(asked.run, asked.after, asked.trust)
    classes = sample_classes(border, asked.task)
    output = Path(asked.output or Path(asked.run) / "generated")
    names = [border["class_names"][c] for c in classes]
    save_images(draw(method, classes, asked.n, asked.seed), names, output)
    print(f"{len(classes) * asked.n} images of {', '.join(names)}: {output}", flush=True)


if __name__ == "__main__":
    main()
