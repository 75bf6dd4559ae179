"""`lgan-translate`: a folder of pictures through one task of a finished run."""

from pathlib import Path
from typing import Literal

from lgan.arguments import Count, Text
from lgan.cli.common import script


@script("translate")
def main(
    run: Text,
    task: int | Text | None,
    input: Text,
    output: Text,
    after: int | Text | None,
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
    import lgan
    from lgan.inference import translate

    opened = lgan.load(run, trust=trust, device=device)
    way = opened.translation(task, after, direction, test_mode, seed=seed, batch_size=batch_size)
    files = translate.list_pictures(Path(input))
    pictures = translate.plan(way.network, files, Path(output), fit, format)
    translate.check_output(pictures, overwrite)
    translate.translate(way, pictures)
    print(f"{len(pictures)} pictures through {way.network.name}: {output}", flush=True)


if __name__ == "__main__":
    main()
