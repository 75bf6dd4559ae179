"""`lgan-translate`: a folder of pictures through one task of a run, or each through its own."""

from functools import partial
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
    reject: bool,
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
    from lgan.inference import route, translate

    opened = lgan.load(run, trust=trust, device=device)
    way_to = partial(opened.translation, after=after, direction=direction, test_mode=test_mode,
                     seed=seed, batch_size=batch_size)  # fmt: skip
    if task == route.AUTO and task not in opened.tasks:
        router = opened.router(after, direction)
        files = translate.list_pictures(Path(input))
        routes = dict(zip(files, router.routes(files), strict=True))
        how = (Path(output), fit, format, overwrite, reject)
        print(route.translate_each(way_to, routes, *how), flush=True)
        return
    way = way_to(task)
    files = translate.list_pictures(Path(input))
    pictures = translate.plan(way.network, files, Path(output), fit, format)
    translate.check_output(pictures, overwrite)
    translate.translate(way, pictures)
    print(f"{len(pictures)} pictures through {way.network.name}: {output}", flush=True)


if __name__ == "__main__":
    main()
