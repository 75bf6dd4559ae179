"""Runs from Python: `lgan.load`, `lgan.train`, and what a run can do."""

import copy
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from lgan.arguments import Count, Text, check_value, plain
from lgan.data.decoding import BACKGROUND
from lgan.data.images import to_uint8
from lgan.errors import ConfigError
from lgan.inference.load import finished_task, load_run
from lgan.inference.pictures import route_given, translate_given
from lgan.inference.route import Route, TaskRouter
from lgan.inference.sample import draw, sample_classes
from lgan.inference.task_network import TaskNetwork, find_task, task_network
from lgan.inference.translate import Fit, Translation, choose_device
from lgan.launch.compose import compose_run
from lgan.launch.extension import compose_extension
from lgan.launch.job import run_job
from lgan.methods.base import LifelongGAN
from lgan.plot import RunPlot
from lgan.redaction import redacted
from lgan.reports.frame import tidy
from lgan.reports.paper import quote
from lgan.run.folder import RunFolder
from lgan.run.record import RunRecord

Task = int | str  # its number, from 0 as in files and figures, or its name
Direction = Literal["forward", "backward"]
Dtype = Literal["uint8", "float"]
OTHERS = {
    "classes": "translates pictures and draws none from noise; see lgan-translate, or translate.",
    "pictures": "draws classes from noise and translates no picture; see lgan-sample, or generate.",
}
"""What runs do whose tasks are not of a kind."""


def load(folder: str | Path, *, trust: Sequence[str] = (), device: str = "cpu") -> "Run":
    """Return the run in a folder that `lgan-train` made, finished or not; its data are not needed.

    Nothing in the folder is run as code. `trust` names packages of yours that the run may be built
    from; `device` is where networks compute: cpu, cuda, or auto (a GPU if there is one).

    >>> lgan.load("outputs/digits")
    Run('outputs/digits': sft on digits, 5 of 5 tasks)
    """
    return Run(folder, trust, device)


def train(overrides: Sequence[str] = ()) -> "Run":
    """Train what `lgan-train` would train with these settings, go on with it, or find it complete.

    >>> run = lgan.train(["data=digits", "run_dir=outputs/digits"])  # it is there already
    complete already, nothing to do: outputs/digits
    finished: outputs/digits
    """
    return _trained(compose_run(_texts("overrides", overrides), resolve=False))


class Run:
    """A run in its folder, as `load`, `train` and `extend` return it.

    Tasks and classes are given by number or name. Numbers count from 0 and come before equal names,
    texts are names first; an error lists what there is. `after` is the task after which the
    generator is taken: None for the last one. Beneath, `record`, `state`, `task_network`,
    `translation` and `router` are for the console scripts, and may change.

    >>> run = lgan.load("outputs/digits")
    >>> run.tasks, len(run.classes), run.settings["training"]["steps"]
    (['0+1', '2+3', '4+5', '6+7', '8+9'], 10, 4)
    >>> run.results.query("metric == 'accuracy_generated' and task == 0").border.tolist()
    [0, 1, 2, 3, 4]
    """

    def __init__(self, folder: str | Path, trust: Sequence[str] = (), device: str = "cpu") -> None:
        _check(folder=(Text, str(folder) if isinstance(folder, os.PathLike) else folder))
        self.folder, self.trust = Path(folder), _texts("trust", trust)
        self.device = choose_device(device)
        self._config = RunFolder(folder).load_config()
        self._state: tuple[int, LifelongGAN, dict[str, Any]] | None = None

    def __repr__(self) -> str:
        record = self.record
        done = f"{len(record.rows)} of {record.num_tasks} tasks"
        return f"Run('{self.folder}': {record.method} on {record.data}, {done})"

    @cached_property
    def record(self) -> RunRecord:
        """The content of results.json."""
        return RunRecord.load(self.folder)

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks learnt, in order: a task's class, or its classes."""
        return self.record.task_names[: len(self.record.rows)]

    @property
    def classes(self) -> list[str]:
        """The names of the classes learnt, in the order of the tasks."""
        learnt = self.record.tasks[: len(self.record.rows)]
        return [str(name) for task in learnt for name in task["class_names"]]

    @property
    def settings(self) -> dict[str, Any]:
        """The run's whole config as plain data."""
        return plain(self._config)

    @property
    def results(self) -> pd.DataFrame:
        """What the run has measured so far, as `lgan.results` of many."""
        return tidy([(self.folder, self.record)])

    @property
    def plot(self) -> RunPlot:
        """Figures of the run, of matplotlib: `matrix()`, `curves()` and `samples()`.

        >>> figure = run.plot.matrix("accuracy_generated")
        """
        return RunPlot(self.folder, self.record)

    def generate(
        self,
        classes: Task | Sequence[Task] | None = None,
        n: int = 16,
        seed: int = 0,
        after: Task | None = None,
        *,
        task: Task | None = None,
        dtype: Dtype = "uint8",
    ) -> tuple[Tensor, Tensor]:
        """Return `n` images of each class in turn, (N, C, H, W), and their classes' numbers (N,).

        Classes are those given, those of a task, or all learnt. Images are uint8, or float32 in
        [-1, 1]. The same seed gives the same images.

        >>> images, labels = run.generate(classes=["3", 7], n=2, seed=0)
        >>> images.shape, images.dtype, labels.tolist()
        (torch.Size([4, 1, 8, 8]), torch.uint8, [3, 3, 7, 7])
        """
        _check(n=(Count, n), seed=(int, seed), dtype=(Dtype, dtype))
        method, border = self._state_of("classes", after)
        numbers = sample_classes(border, task, classes)
        images = draw(method, numbers, n, seed)
        labels = torch.tensor(numbers).repeat_interleave(n)
        return (to_uint8(images) if dtype == "uint8" else images), labels

    def translate(
        self,
        picture: Any,  # noqa: ANN401
        task: Task | None = None,
        fit: Fit = "none",
        *,
        direction: Direction = "forward",
        after: Task | None = None,
        seed: int = 0,
        batch_size: int = 8,
        test_mode: Literal["eval", "paper"] | None = None,
    ) -> Any:  # noqa: ANN401
        """Return a picture as a task translates it, in the form that it has.

        `picture` is a PIL image, a path (a PIL image comes back), an array (H, W), (H, W, C) or
        a tensor (H, W), (C, H, W), of 8 or 16 bits (8 come back) or float in [-1, 1]; or several,
        in a list, a batch of arrays or tensors, or a folder. Sizes that the network does not take
        are refused (`fit="none"`), padded and cut back ("pad"), or brought to the training size
        ("resize"). The other settings are those of `lgan-translate`.

        >>> run = lgan.load("outputs/photos")
        >>> picture = np.zeros((40, 50, 3), dtype=np.uint8)
        >>> run.translate(picture, task="grey_to_colour", fit="pad").shape
        (40, 50, 3)
        """
        _check(fit=(Fit, fit), seed=(int, seed), batch_size=(Count, batch_size),
               test_mode=(Literal["eval", "paper"] | None, test_mode))  # fmt: skip
        way = self.translation(task, after, direction, test_mode, seed=seed, batch_size=batch_size)
        return translate_given(way, picture, fit)

    def route(self, picture: Any, after: Task | None = None) -> Route | list[Route]:  # noqa: ANN401
        """Return for which task a picture most likely is, or such a list for several.

        `picture` is what `translate` takes. Beyond a `distance` of 1 it is unlike the task's
        training inputs, and for none of the tasks: then `known` is false.

        >>> run = lgan.load("outputs/photos")
        >>> run.route(np.full((40, 50, 3), 128, dtype=np.uint8)).known
        False
        """
        return route_given(self.router(after), picture)

    def network(
        self, task: Task | None = None, after: Task | None = None, direction: Direction = "forward"
    ) -> nn.Module:
        """Return a copy of a task's network as a plain module, in eval mode, on the run's device.

        Called with what `lgan-export` says of it: pictures (B, C, H, W) in [-1, 1] (BicycleGAN:
        and codes), or noise (B, z_dim) and classes (B,); it returns pictures in [-1, 1].

        >>> network = run.network(task=2)
        >>> network(torch.zeros(1, 16), torch.tensor([4])).shape
        torch.Size([1, 1, 8, 8])
        """
        return copy.deepcopy(self.task_network(task, after, direction).network)

    def extend(self, overrides: Sequence[str] = ()) -> "Run":
        """Teach the finished run further tasks, in a run of its own; return that.

        The settings are those of `lgan-extend`: `num_tasks=5`, `folders=[...]`, `data.root=DIR`.

        >>> short = lgan.load("outputs/short")
        >>> short.tasks, short.extend(["num_tasks=3", "run_dir=outputs/longer"]).tasks
        finished: outputs/longer
        (['0+1', '2+3'], ['0+1', '2+3', '4+5'])
        """
        own = [f"run={quote(str(self.folder))}", f"trust=[{','.join(map(quote, self.trust))}]"]
        return _trained(compose_extension([*own, *_texts("overrides", overrides)]))

    # ------------------------------------------------------------------ for the console scripts

    def state(self, after: Task | None = None) -> tuple[LifelongGAN, dict[str, Any]]:
        """Return the method and what its border file says, as `load_run` does; loaded once."""
        task = finished_task(RunFolder(self.folder), after)
        if self._state is None or self._state[0] != task:
            method, border = load_run(self.folder, task, self.trust)
            self._state = task, method.to(self.device), border
        return self._state[1:]

    def task_network(
        self, task: Task | None, after: Task | None = None, direction: str = "forward"
    ) -> TaskNetwork:
        """Return a task's network with what is known of it."""
        method, border = self.state(after)
        return task_network(method, border, find_task(border, task), direction)

    def translation(
        self,
        task: Task | None,
        after: Task | None = None,
        direction: str = "forward",
        test_mode: str | None = None,
        **settings: int,
    ) -> Translation:
        """Return how pictures go through a task's network."""
        network = self.task_network(task, after, direction)
        mode = test_mode or self._state_of("pictures", after)[0].test_mode
        behind = self._config.data.splits.get("background", BACKGROUND)  # own data may lack it
        return Translation(
            network, device=self.device, test_mode=mode, background=behind, **settings
        )

    def router(self, after: Task | None = None, direction: str = "forward") -> TaskRouter:
        """Return what tells for which task a picture is."""
        _, border = self._state_of("pictures", after)
        if direction != "forward":
            raise ConfigError(
                f"direction={direction}: task=auto knows the inputs of tasks, and not their "
                "targets; name the task."
            )
        return TaskRouter.of(self.folder, self.record.stamp, border, self._config.data.splits)

    def _state_of(self, kind: str, after: Task | None) -> tuple[LifelongGAN, dict[str, Any]]:
        method, border = self.state(after)
        if method.objective.task_kind != kind:
            raise ConfigError(f"run={self.folder} {OTHERS[kind]}")
        return method, border


def _trained(config: DictConfig) -> Run:
    redacted(OmegaConf.to_container(config, resolve=False))  # whose secrets are told
    run_job(config)
    return Run(config.run_dir, config.trust)


def _texts(key: str, value: Sequence[str]) -> list[str]:
    """Return a list of texts; a single text is none."""
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    check_value(key, list[str], [*value] if listed else value)
    return [*value]


def _check(**given: tuple[Any, Any]) -> None:
    for key, (annotation, value) in given.items():
        check_value(key, annotation, value)
