"""Real pictures of old classes that a method keeps, and says that it keeps."""

from typing import Any, Literal

import torch
from torch import Tensor

from lgan.arguments import Count, Share, Whole
from lgan.data.memory import Choice, ExemplarMemory, Reading
from lgan.data.tasks import TaskInfo
from lgan.errors import ConfigError
from lgan.methods.base import LifelongGAN
from lgan.networks.modes import having


class Exemplars(LifelongGAN):
    """A method that may keep real pictures of old classes, chosen at the end of their task.

    Args:
        real_per_class, real_ratio, real_total: how many: of each class, as share r of its training
            pictures, or K in all, shared evenly; null (or 0): none. At most one is given.
        real_choice: which, by how the discriminator sees them (`lgan.data.memory`); its features
            are those of the layer before the heads.
        real_reading: of herding.
        real_rounding: of K over the number of classes; "ceil" may exceed K.
        **kwargs: see `LifelongGAN`.
    """

    def __init__(
        self,
        *,
        real_per_class: Count | None = None,
        real_ratio: Share | None = None,
        real_total: Whole | None = None,
        real_choice: Choice = "random",
        real_reading: Reading = "paper",
        real_rounding: Literal["floor", "ceil"] = "floor",
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        asked = {"per_class": real_per_class, "ratio": real_ratio, "total": real_total}
        bounds: dict[str, Any] = {name: bound for name, bound in asked.items() if bound}
        given = [f"method.real_{name}={bound}" for name, bound in bounds.items()]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} are both given; set one of them to null.")
        if given and real_choice != "random" and not hasattr(self.discriminator, "features"):
            raise ConfigError(
                f"method.real_choice={real_choice} looks at features, and network.discriminator="
                f"{type(self.discriminator).__name__} has no method features(x); give it one, or "
                "choose random."
            )
        how: Any = {"choice": real_choice, "reading": real_reading, "rounding": real_rounding}
        self.memory = ExemplarMemory(**bounds, **how, seed=self.seed) if given else None

    def begin_task(self, info: TaskInfo) -> None:
        """Refuse a number of pictures that does not reach to the last task."""
        if self.memory is not None:
            self.memory.check(sum(map(len, info.task_classes)))
        super().begin_task(info)

    def end_task(self, info: TaskInfo) -> None:
        """Keep the real pictures that may be kept."""
        super().end_task(info)
        if self.memory is not None:
            with torch.no_grad(), having(self.discriminator.modules(), training=False):
                self.memory.add(info.images, view=self.view)

    def view(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, D) and logits (B, classes), -inf of those not seen, of images."""
        images = images.to(self.device)
        logits = self.logits(images)
        seen = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
        seen[self.seen_classes] = True
        return self.features(images), logits.masked_fill(~seen, -torch.inf)

    def logits(self, images: Tensor) -> Tensor:
        """Return the discriminator's class logits (B, num_classes)."""
        return self.classify(images)

    def features(self, images: Tensor) -> Tensor:
        """Return the features (B, D) of the layer before the discriminator's heads."""
        features: Any = self.discriminator.features
        return features(images)

    def rules_broken(self) -> list[str]:
        """Say how many real pictures are kept, if any are, and how they are chosen."""
        if (memory := self.memory) is None:
            return super().rules_broken()
        up = ", rounded up" if memory.total and memory.rounding == "ceil" else ""
        chosen = "" if memory.choice == "random" else f", by {memory.choice}".replace("_", " ")
        return [*super().rules_broken(), f"keeps real data ({memory.bound}{up}{chosen})"]

    def border_state(self) -> dict[str, Any]:
        """Add the real pictures to what a finished task leaves behind."""
        memory = {} if self.memory is None else {"memory": self.memory.state_dict()}
        return super().border_state() | memory

    def load_border_state(self, state: dict[str, Any]) -> None:
        """Load what `border_state` returned."""
        super().load_border_state(state)
        if self.memory is not None:
            self.memory.load_state_dict(state["memory"])
