"""Joint training (JT): the upper bound that keeps all real data."""

from typing import Any, ClassVar, Literal

from torch import Tensor

from lgan.data.images import placed
from lgan.errors import ConfigError
from lgan.methods.base import LifelongGAN
from lgan.objectives.base import Batch


class Joint(LifelongGAN):
    """Train on the real data of all tasks so far (MeRGAN, Sec. 4.1, "JT").

    Training goes on from the weights of task t - 1: after ten tasks of 4,000 steps it has had the
    40,000 steps of MeRGAN's joint run. `fake_labels` are classes of the generated images: those of
    the real "batch", or drawn "uniform" from all so far (MeRGAN's code).

    A translator is not told the task: it must see by the input which translation is asked for. It
    is an upper bound where input domains differ (edges, label maps, grey pictures); where they are
    the same, as in painting styles, it paints something in between.
    """

    cumulative_data: ClassVar[bool] = True
    lacks: ClassVar[tuple[str, ...]] = ("tasks that come one by one",)

    def __init__(
        self,
        *,
        fake_labels: Literal["batch", "uniform"] = "batch",
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        if fake_labels == "uniform" and self.objective.autoencodes:
            raise ConfigError(
                f"method.fake_labels=uniform is for generated images, and objective="
                f"{self.objective.name} makes real ones again, of their own classes; choose batch."
            )
        self.draws_labels = fake_labels == "uniform" and self.objective.task_kind == "classes"

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the objective's loss, a scalar, with the labels asked for."""
        if self.draws_labels:
            seen = placed(tuple(self.seen_classes), batch["y"].device)
            drawn = seen[self.noise.integers(len(seen), len(batch["y"]))]
            batch = batch | {"y" if player == "generator" else "fake_y": drawn}
        return super().loss(player, batch)

    def rules_broken(self) -> list[str]:
        """Say that all real data are kept."""
        pictures = self.objective.task_kind == "pictures"
        untold = ", one translator that is not told the task" * pictures
        return [*super().rules_broken(), f"keeps all real data{untold}"]
