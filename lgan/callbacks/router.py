"""The router over the tasks so far, of runs that translate pictures."""

from contextlib import suppress
from typing import ClassVar

import torch
from torch import Tensor

from lgan import distributed
from lgan.arguments import Count, InnerShare
from lgan.callbacks.base import TaskCallback, TaskContext
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.ledger import Reader
from lgan.data.pairs import INPUT, half
from lgan.errors import DamagedFileError, warn
from lgan.metrics.base import Values
from lgan.metrics.router import FILE, Router, features_of_rows
from lgan.run.columns import percent


class TrainRouter(TaskCallback):
    """Add each translation's inputs to the run's router; measure it on test inputs of all so far.

    `accuracy_router` is the share of a task's test inputs that it gives to their task, of t tasks
    1 / t by chance; `router_refused` that of those it takes for none of them (`Router.learn` says
    what `quantile` is). What it keeps, in `router.pt`, are statistics of the open task's training
    inputs, of no more than `pictures` of them; so many test inputs are looked at, too.
    """

    reads: ClassVar[Reader] = "evaluation"  # test inputs; of training inputs those that are open
    columns = (
        percent("accuracy_router", "router: inputs given to their task (chance: 1 / tasks)",
                "overall.accuracy_router", None),
        percent("router_refused", "router: test inputs taken for none of the tasks",
                "overall.router_refused", None, up=False),
    )  # fmt: skip

    def __init__(
        self, quantile: InnerShare = 0.999, shrinkage: InnerShare = 0.01, pictures: Count = 300
    ) -> None:
        self.quantile, self.shrinkage, self.pictures = quantile, shrinkage, pictures
        self._tests: dict[int, Tensor] = {}  # features of test inputs by task

    def on_task_end(self, context: TaskContext) -> None:
        """Learn, save, measure, record and log."""
        task, data = context.task, context.datamodule
        if data.task_kind != "pictures":
            return
        is_open = data.opened == task  # not where an old border is measured again
        router = distributed.decided(lambda: self._known(context, task + (not is_open)))
        if router is None:
            return
        if is_open:
            router = router.learn(self._open_features(data), self.quantile)
            if distributed.is_main():
                router.save(context.folder / FILE, context.method.stamp)
        found = []
        for own in range(task + 1):
            tasks, away = router.route(self._test_features(data, own))
            right, refused = (tasks == own).double(), (away > 1).double()
            known, unknown = right.mean().item(), refused.mean().item()
            found.append({"accuracy_router": known, "router_refused": unknown})
        overall = {name: sum(entry[name] for entry in found) / len(found) for name in found[0]}
        context.record_values(Values(found, overall), self.columns)
        context.log({f"overall/{name}": value for name, value in overall.items()})

    def _known(self, context: TaskContext, tasks: int) -> Router | None:
        """Return the router over the first tasks from disk; None, and a warning, if it is not."""
        path, router = context.folder / FILE, Router(self.shrinkage)
        with suppress(DamagedFileError, FileNotFoundError):
            router = Router.load(path, context.method.stamp).first(tasks)
        if len(router) == tasks:
            return router
        warn(f"{path} is damaged, gone or lacks a task: this run cannot route pictures to tasks.")
        return None

    def _open_features(self, data: TaskSequenceDataModule) -> Tensor:
        inputs = half(data.info.images, INPUT)
        own = torch.isin(inputs.labels, torch.tensor(data.info.classes))
        return features_of_rows(inputs.take, self._some(own.nonzero().flatten()))

    def _test_features(self, data: TaskSequenceDataModule, task: int) -> Tensor:
        if task not in self._tests:
            inputs = data.test_inputs(task)
            rows = self._some(torch.arange(len(inputs)))
            self._tests[task] = features_of_rows(inputs.__getitem__, rows)
        return self._tests[task]

    def _some(self, rows: Tensor) -> Tensor:
        """Return no more rows than `pictures`, evenly spread."""
        count = min(len(rows), self.pictures)
        return rows[torch.arange(count) * len(rows) // max(count, 1)]
