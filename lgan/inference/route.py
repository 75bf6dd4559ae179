"""Which of a run's tasks is each picture for? Asked of the run's router, and then translated."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from lgan.data.decoding import BACKGROUND, Decoder, decode
from lgan.data.images import to_uint8
from lgan.errors import RunError
from lgan.files import refuse_existing, staged, write_json
from lgan.inference.task_network import task_names
from lgan.inference.translate import Fit, Picture, Translation, check_output, plan, translate
from lgan.metrics.router import CHUNK, FILE, Router, features
from lgan.run.identity import Stamp

AUTO = "auto"  # as a task: each picture's own, unless a task has this very name
REPORT = "routes.json"


class Route(NamedTuple):
    """The most likely task of a picture, by name and number, and how unusual the picture is there.

    The distance is 1 at the task's limit, beyond which a picture is for none of the tasks.
    """

    task: str
    number: int
    distance: float

    @property
    def known(self) -> bool:
        """Whether the picture is for this task, and not for none."""
        return self.distance <= 1


@dataclass(frozen=True)
class TaskRouter:
    """A run's router over the tasks up to a border, and how it sees pictures: as in training."""

    router: Router
    names: list[str]
    decoder: Decoder

    @classmethod
    def of(cls, folder: Path, stamp: Stamp, border: dict[str, Any], splits: dict[str, Any]) -> Self:
        """Load what the run in a folder has learnt; `splits` is data.splits of its config."""
        path, names = folder / FILE, task_names(border)
        router = Router.load(path, stamp).first(len(names)) if path.exists() else None
        if router is None or len(router) < len(names):
            raise RunError(
                f"task=auto: {path} {'lacks a task' if router else 'is not there'}; a run has it "
                "unless it was trained with callbacks.router=null or by an earlier lgan. Name the "
                f"task of the pictures: {', '.join(names)}."
            )
        channels, size, _ = border["image_shape"]
        how = splits.get("fit", "stretch"), splits.get("background", BACKGROUND)
        return cls(router, names, Decoder(size, channels, *how))

    def routes(self, pictures: Iterable[Path | Image.Image | Tensor]) -> Iterator[Route]:
        """Yield the route of each picture; in memory they are as `Picture` has them."""
        left = (to_pil_image(to_uint8(p)) if isinstance(p, Tensor) else p for p in pictures)
        while seen := [decode(picture, self.decoder) for picture in islice(left, CHUNK)]:
            tasks, away = self.router.route(features(torch.stack(seen)))
            for task, distance in zip(tasks.tolist(), away.tolist(), strict=True):
                yield Route(self.names[task], task, round(distance, 6))


def translate_each(
    way_to: Callable[[int], Translation],
    routes: dict[Path, Route],
    output: Path,
    fit: Fit,
    suffix: str | None,
    overwrite: bool,
    reject: bool,
) -> str:
    """Translate each file by the task that it is routed to; write all, and the routes, or none.

    Pictures for none of the tasks are left out unless `reject` is false. Returns what was done.
    """
    taken = [file for file, route in routes.items() if route.known or not reject]
    pictures: list[Picture] = []
    if taken:  # networks of all tasks take the same sizes
        some = way_to(routes[taken[0]].number)
        pictures = plan(some.network, taken, output, fit, suffix)
    check_output(pictures, overwrite)
    refuse_existing([output / REPORT], overwrite)
    done = []
    with staged(output) as part:
        placed = [replace(each, target=part / each.target.name) for each in pictures]
        for task in sorted({routes[file].number for file in taken}):
            way = way_to(task)
            own = [p for p, f in zip(placed, taken, strict=True) if routes[f].number == task]
            translate(way, own)
            done.append(f"{len(own)} pictures through {way.network.name}")
        written = {f.name: r._asdict() | {"translated": f in taken} for f, r in routes.items()}
        write_json(part / REPORT, written)
    if left := [file.name for file in routes if file not in taken]:
        done.append(
            f"{len(left)} for none of the tasks, such as {left[0]}, left out (reject=false takes "
            "the most likely task)"
        )
    return f"{', '.join(done)}: {output}, with {REPORT}"
