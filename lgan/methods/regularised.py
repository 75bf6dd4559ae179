"""A classifier held near its weights: EWC-S, PI-S and RWalk-S (Chaudhry et al. 2018).

The loss is CE + lambda sum_i imp_i (theta_i - theta*_i)^2, without a factor 1/2, over the weights
that the class logits depend on; theta* is where the last task ended, and so where this one begins.
g is the gradient of the batch's mean cross entropy, without the penalty. Formulas, and how paper
and code differ: papers/classifier_baselines.md, section 2.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from lgan import distributed
from lgan.arguments import Count, Fraction, Positive, Weight
from lgan.data.tasks import TaskInfo
from lgan.methods.classifier_only import RehearsalClassifier
from lgan.networks.growth import widened
from lgan.networks.modes import having
from lgan.objectives.base import Batch


class Regularised(RehearsalClassifier):
    """Base: keeps theta* and the importances, and looks at each step from before and after.

    Args:
        strength: lambda; it means something only with the method's own importance.
        **kwargs: see `RehearsalClassifier`.
    """

    carried: ClassVar[tuple[str, ...]]
    """Buffers (P,), over the weights on the class path, that are kept between tasks."""
    within: ClassVar[tuple[str, ...]] = ("importance", "anchor")
    """Further ones while a task is trained: a stop inside it needs them."""
    importance: Tensor
    anchor: Tensor

    def __init__(self, *, strength: Weight, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.strength = strength
        self.on_path = self._class_path()
        self._make_room(self.carried)

    def begin_task(self, info: TaskInfo) -> None:
        """Anchor the weights, by the importance that they have so far."""
        super().begin_task(info)
        self._make_room(self.within)
        self.anchor.copy_(self.theta())
        self.importance.copy_(self.importance_so_far())

    def end_task(self, info: TaskInfo) -> None:
        """Add the task's importance to that of the tasks before it."""
        self.look_back(self.theta(), self.step * info.draws)
        self.add_importance(self.theta())
        for name in self.within:
            delattr(self, name)
        super().end_task(info)

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the cross entropy and, from task 1 on, the penalty; look at this step."""
        entropy = super().loss(player, batch)
        theta = joined(self._path())
        gradient = joined(torch.autograd.grad(entropy, self._path(), retain_graph=True))
        # Of all ranks' batches, before it is squared.
        gradient = distributed.total_of(gradient).div_(distributed.world())
        with torch.no_grad():
            self.look_back(theta, self.objective.turn)
            self.look(gradient, theta)
        if not self.task_index:
            return entropy
        return entropy + self.strength * self.importance.dot((theta - self.anchor).square())

    def look_back(self, theta: Tensor, taken: int) -> None:
        """Look at what the last step did: theta (P,) after `taken` steps of the task."""

    def look(self, gradient: Tensor, theta: Tensor) -> None:
        """Look at g (P,) of the step to come, at theta (P,)."""

    def importance_so_far(self) -> Tensor:
        """Return the importances (P,) after the tasks before this one."""
        raise NotImplementedError

    def add_importance(self, theta: Tensor) -> None:
        """Update what is `carried` at a task's end, at theta (P,)."""

    def grow(self, num_classes: int) -> None:
        """Widen what is carried: new rows have no importance."""
        old, known = self.discriminator, self.num_classes
        super().grow(num_classes)
        rest = torch.zeros_like(self.theta())
        for name in self.carried:
            was = getattr(self, name)[None]
            wide = widened(was, old, known, self.discriminator, rest, self.on_path)
            self.register_buffer(name, wide[0])

    def theta(self) -> Tensor:
        """Return a copy of the weights on the class path (P,)."""
        return joined(self._path()).detach()

    def _path(self) -> list[nn.Parameter]:
        named = self.discriminator.named_parameters()
        return [p for name, p in named if name in self.on_path]

    def _class_path(self) -> frozenset[str]:
        """Return the names of the weights that the logits depend on: not a critic's head."""
        named = dict(self.discriminator.named_parameters())
        with torch.enable_grad(), having(self.discriminator.modules(), training=False):
            logits = self.classify(torch.zeros(1, *self.networks.image_shape))
        found = torch.autograd.grad(logits.sum(), list(named.values()), allow_unused=True)
        return frozenset(n for n, g in zip(named, found, strict=True) if g is not None)

    def _make_room(self, names: tuple[str, ...]) -> None:
        for name in names:
            self.register_buffer(name, torch.zeros_like(self.theta()))


class EWCClassifier(Regularised):
    """EWC-S: F, a running mean of g^2 ("EWC++"), is the importance, scaled to [0, 1].

    Args:
        window: steps after each of which F <- (1 - a) F + a mean(g^2); at most a task's.
        decay: a, the weight of what is new.
        **kwargs: see `Regularised`.
    """

    carried: ClassVar[tuple[str, ...]] = ("fisher",)
    within: ClassVar[tuple[str, ...]] = (*Regularised.within, "squares")
    varies = "every few steps it closes a window"
    fisher: Tensor
    squares: Tensor

    def __init__(self, *, window: Count = 10, decay: Fraction = 0.9, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.window, self.decay = window, decay

    def look(self, gradient: Tensor, theta: Tensor) -> None:
        """Add g^2 to the window's."""
        super().look(gradient, theta)
        self.squares.addcmul_(gradient, gradient)

    def look_back(self, theta: Tensor, taken: int) -> None:
        """Close the window that the last step filled."""
        super().look_back(theta, taken)
        assert self.info is not None
        length = min(self.window, self.info.steps * self.info.draws)
        if taken and taken % length == 0:
            self.close_window(theta, length)

    def close_window(self, theta: Tensor, length: int) -> None:
        """Take the mean g^2 of a window of so many steps, which ended at theta (P,), into F."""
        self.fisher.lerp_(self.squares / length, self.decay)
        self.squares.zero_()

    def importance_so_far(self) -> Tensor:
        """Return F, scaled to [0, 1]."""
        return scaled(self.fisher)


class PathClassifier(Regularised):
    """Base: adds up what each weight's moves gained, sum -g dtheta, by the steps really taken."""

    within: ClassVar[tuple[str, ...]] = (*Regularised.within, "gain", "last_gradient", "last_theta")
    gain: Tensor
    last_gradient: Tensor
    last_theta: Tensor

    def look(self, gradient: Tensor, theta: Tensor) -> None:
        """Keep g and theta until the step is taken."""
        super().look(gradient, theta)
        self.last_gradient.copy_(gradient)
        self.last_theta.copy_(theta)

    def look_back(self, theta: Tensor, taken: int) -> None:
        """Add -g dtheta of the last step; before the first, g is 0."""
        self.gain.addcmul_(self.last_gradient, theta - self.last_theta, value=-1)
        super().look_back(theta, taken)


class PIClassifier(PathClassifier):
    """PI-S (Zenke et al. 2017): Omega <- Omega + max(0, gain / ((theta - theta*)^2 + xi)).

    Args:
        damping: xi.
        **kwargs: see `Regularised`.
    """

    carried: ClassVar[tuple[str, ...]] = ("omega",)
    omega: Tensor

    def __init__(self, *, damping: Positive = 1e-3, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.damping = damping

    def importance_so_far(self) -> Tensor:
        """Return Omega."""
        return self.omega

    def add_importance(self, theta: Tensor) -> None:
        """Add what the task's moves gained, per squared distance."""
        distance = (theta - self.anchor).square()
        self.omega += (self.gain / (distance + self.damping)).clamp_min(0)


class RWalkClassifier(PathClassifier, EWCClassifier):
    """RWalk-S: the importance is EWC's F and a score s, each scaled to [0, 1].

    A task's score is the sum over windows of gain / (F dtheta^2 / 2 + eps), dtheta the window's.

    Args:
        reading: "paper": negative scores count as 0 at the task's end, and s <- (s + s_new) / 2;
            "code": in each window, there without the factor 1/2 and with F before the window, and
            s <- s + (s + s_new) / 2. The first task's s is s_new.
        damping: eps.
        **kwargs: see `EWCClassifier`.
    """

    carried: ClassVar[tuple[str, ...]] = ("fisher", "score")
    within: ClassVar[tuple[str, ...]] = (
        *dict.fromkeys((*PathClassifier.within, *EWCClassifier.within)),
        *("new_score", "window_theta"),
    )
    score: Tensor
    new_score: Tensor
    window_theta: Tensor
    felt: Tensor

    def __init__(
        self,
        *,
        reading: Literal["paper", "code"] = "paper",
        damping: Positive = 1e-3,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.reading, self.damping = reading, damping

    def begin_task(self, info: TaskInfo) -> None:
        """Begin the first window."""
        super().begin_task(info)
        self.window_theta.copy_(self.theta())
        self.register_buffer("felt", torch.zeros(2, device=self.device))

    def close_window(self, theta: Tensor, length: int) -> None:
        """Add the window's score, and begin the next."""
        move, before = (theta - self.window_theta).square(), self.fisher.clone()
        super().close_window(theta, length)
        if self.reading == "code":
            metric = before * move
            self.new_score += (self.gain / (metric + self.damping)).clamp_min(0)
        else:
            metric = self.fisher * move / 2
            self.new_score += self.gain / (metric + self.damping)
        self.felt += torch.stack([(metric > self.damping).float().mean(), metric.new_ones(())])
        self.gain.zero_()
        self.window_theta.copy_(theta)

    def importance_so_far(self) -> Tensor:
        """Return F and s, each scaled to [0, 1], in sum."""
        return super().importance_so_far() + scaled(self.score)

    def add_importance(self, theta: Tensor) -> None:
        """Mix the task's score into that of the tasks before it."""
        new = self.new_score.clamp_min(0)
        mixed = (self.score + new) / 2 + (self.score if self.reading == "code" else 0)
        self.score.copy_(mixed if self.task_index else new)
        felt, windows = self.felt.tolist()
        self._felt = felt / max(1, windows)
        del self.felt

    def report(self) -> dict[str, Any]:
        """Add how much F counts in the score: the share of weights at which it exceeds eps."""
        return super().report() | {"metric_share": self._felt}


def joined(tensors: Iterable[Tensor]) -> Tensor:
    """Return the numbers of tensors in one row (P,)."""
    return torch.cat([each.flatten() for each in tensors])


def scaled(values: Tensor) -> Tensor:
    """Return values (P,) moved and scaled to [0, 1]; 0 where all are the same."""
    least, most = values.aminmax()
    return (values - least) / (most - least).clamp_min(torch.finfo(values.dtype).tiny)
