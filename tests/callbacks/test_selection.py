"""Selection by validation: accuracies by hand, the best step, and no trace in what is trained."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from lgan.callbacks.base import TaskContext
from lgan.callbacks.selection import SelectByValidation, undisturbed
from lgan.data.images import TensorImages
from lgan.data.tasks import TaskSequence
from lgan.errors import ConfigError
from lgan.metrics.base import Values

CPU = torch.device("cpu")


class Guesser(nn.Module):
    """Says of every picture the same; which class, the test decides."""

    name, device, has_classifier, total_steps = "guesser", CPU, True, 0

    def __init__(self) -> None:
        super().__init__()
        self.step, self.favour = 0, torch.zeros(5)

    def classify(self, images: Tensor) -> Tensor:
        assert not self.training and not torch.is_grad_enabled()
        return self.favour.expand(len(images), -1)


class Data:
    """Two tasks, classes (2, 0) and (1, 3); so many images of each class for both purposes."""

    name, num_tasks, num_classes = "made", 2, 5

    def __init__(self, validation: list[int], test: list[int]) -> None:
        self.sequence = TaskSequence(5, [2, 2, 1], [2, 0, 1, 3, 4], num_tasks=2)
        self._validation, self._test = (self._images(counts) for counts in (validation, test))

    @staticmethod
    def _images(counts: list[int]) -> TensorImages:
        labels = torch.repeat_interleave(torch.arange(5), torch.tensor(counts))
        return TensorImages(torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), labels)

    def validation_images(self, index: int) -> TensorImages:
        return self._validation.of_classes(self.sequence[index].classes)

    def test_images(self, index: int) -> TensorImages:
        return self._test.of_classes(self.sequence[index].classes)


def data() -> Data:
    # validation: task 0 has 3 of class 0 and 1 of class 2, task 1 has 2 of class 1 and 8 of class 3
    return Data([3, 2, 1, 8, 50], [1, 4, 4, 1, 50])


def watch(callback, method, favours: dict[int, int], steps: int) -> None:
    """Train `steps` steps; from each step of `favours` on its class is what the method says."""
    trainer = SimpleNamespace(num_training_batches=steps)
    for step in range(1, steps + 1):
        if step in favours:
            method.favour = torch.zeros(5)
            # the class 4 has not been learnt: it must not be chosen, however likely
            method.favour[favours[step]], method.favour[4] = 1.0, 9.0
        method.step = step
        callback.on_train_batch_end(trainer, method, None, None, 0)


def test_the_test_accuracy_stands_at_the_best_validation_step(tmp_path) -> None:
    callback, method = SelectByValidation(every=2), Guesser()
    context = TaskContext(method, data(), 1, tmp_path)
    callback.on_task_start(context)
    # validation means over tasks: class 0: 3/4 / 2, class 2: 1/4 / 2, class 3: 8/10 / 2 = 0.4
    watch(callback, method, {1: 0, 3: 3, 5: 2}, steps=7)
    context.record_values(Values([{}, {}], {"accuracy_single_head": 0.1}))
    callback.on_task_end(context)
    # test: 1 of task 1's five images is of class 3, none of task 0's
    expected = {"accuracy_single_head": 0.1, "step": 4, "validation_accuracy": 0.4}
    assert context.row["selected"] == pytest.approx(expected)
    assert context.row["overall"] == pytest.approx(
        {"accuracy_single_head": 0.1, "accuracy_single_head_selected": 0.1}
    )


def test_the_first_of_equals_is_kept_and_the_last_step_is_always_seen(tmp_path) -> None:
    callback, method = SelectByValidation(every=2), Guesser()
    context = TaskContext(method, data(), 0, tmp_path)
    callback.on_task_start(context)
    watch(callback, method, {1: 0}, steps=6)
    assert callback.best["step"] == 2 and callback.best["validation_accuracy"] == 0.75
    assert callback.best["accuracy_single_head"] == pytest.approx(1 / 5)
    callback.on_task_start(context)
    assert callback.best is None, "the last task's best step is none of this one's"
    watch(callback, method, {1: 2, 3: 0}, steps=3)
    assert callback.best["step"] == 3


def test_the_state_is_plain_and_complete(tmp_path) -> None:
    callback, method = SelectByValidation(every=1), Guesser()
    context = TaskContext(method, data(), 1, tmp_path)
    callback.on_task_start(context)
    watch(callback, method, {1: 3}, steps=1)
    torch.save(callback.state_dict(), tmp_path / "state.pt")
    resumed = SelectByValidation(every=1)
    resumed.on_task_start(context)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    watch(resumed, method, {1: 0}, steps=1)
    assert resumed.best == callback.best


class Delicate(nn.Module):
    """What evaluation could disturb: running statistics, dropout, a part that is in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.teacher = nn.Sequential(nn.BatchNorm2d(4), nn.Dropout(0.5)).eval()
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.teacher(self.body(x)).flatten(1))


def train_delicate(looks: bool) -> tuple[dict[str, Tensor], Tensor, list[bool]]:
    torch.manual_seed(3)
    network = Delicate()
    network.name, network.device, network.classify = "delicate", CPU, network.forward
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    callback = SelectByValidation(every=1)
    images = Data([3, 2, 1, 8, 50], [1, 4, 4, 1, 50])
    for part in (images._validation, images._test):
        part.images = torch.randint(0, 255, (len(part), 1, 4, 4), dtype=torch.uint8)
    callback.on_task_start(SimpleNamespace(datamodule=images, task=1))
    for step in range(4):
        loss = network(torch.randn(8, 1, 4, 4)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        network.step = step + 1
        if looks:
            trainer = SimpleNamespace(num_training_batches=4)
            callback.on_train_batch_end(trainer, network, None, None, step)
    assert looks == (callback.best is not None)
    gradients = {f"{name}.grad": p.grad for name, p in network.named_parameters()}
    modes = [module.training for module in network.modules()]
    return network.state_dict() | gradients, torch.get_rng_state(), modes


def test_looking_leaves_no_trace_not_by_a_bit() -> None:
    plain, looked = train_delicate(looks=False), train_delicate(looks=True)
    assert plain[0].keys() == looked[0].keys() and plain[0]["body.1.num_batches_tracked"] == 4
    assert all(torch.equal(plain[0][key], looked[0][key]) for key in plain[0])
    assert torch.equal(plain[1], looked[1]), "the global random numbers go on as they were"
    assert plain[2] == looked[2] and True in plain[2] and False in plain[2][1:]


def test_what_a_classifier_draws_and_an_error_leave_no_trace_either() -> None:
    network, before = Delicate(), torch.get_rng_state()
    modes = [module.training for module in network.modules()]
    with pytest.raises(ValueError, match="inside"), undisturbed(network, CPU):
        torch.randn(3)
        assert not network.training and not torch.is_grad_enabled()
        raise ValueError("inside")
    assert torch.equal(torch.get_rng_state(), before) and torch.is_grad_enabled()
    assert [module.training for module in network.modules()] == modes


def test_absent_images_and_absent_classifiers_are_refused() -> None:
    callback, method = SelectByValidation(), Guesser()
    callback.check(method, data())
    with pytest.raises(ConfigError, match=r"none for task 1; set data\.splits\.validation"):
        callback.check(method, Data([3, 0, 1, 0, 50], [1, 4, 4, 1, 50]))
    method.has_classifier = False
    with pytest.raises(ConfigError, match="method=guesser"):
        callback.check(method, data())
