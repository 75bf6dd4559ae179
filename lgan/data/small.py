"""Classes with few pictures: what is done with them, and what is refused, all classes at once."""

from collections.abc import Sequence

from lgan.data.images import ImageSplits
from lgan.data.tasks import Task
from lgan.distributed import is_main
from lgan.errors import ConfigError, DataError, warn_once


def check_small(
    splits: ImageSplits, tasks: Sequence[Task], batch_size: int, allowed: bool, warn_below: int
) -> dict[str, int]:
    """Return classes whose tasks do not fill a batch, and how many pictures they have.

    See `TaskSequenceDataModule` for the last three.
    """
    train, test = (
        part.labels.bincount(minlength=len(splits.class_names)).tolist()
        for part in (splits.train, splits.test)
    )
    names, classes = splits.class_names, [c for task in tasks for c in task.classes]
    if alone := [names[c] for c in classes if not train[c] or not test[c]]:
        raise DataError(
            f"{', '.join(alone)}: a class needs a picture to train on and another to test on; "
            "add pictures, or remove the classes."
        )
    few = [task.classes for task in tasks if sum(train[c] for c in task.classes) < batch_size]
    repeated = {names[c]: train[c] for task_classes in few for c in task_classes}
    if repeated and not allowed:
        raise ConfigError(
            f"data.allow_small=false, and training.batch_size={batch_size} is more than "
            f"the training pictures of {_counted(repeated)}: add pictures, take a smaller "
            "batch, or allow that they are drawn with repetition (data.allow_small=true)."
        )
    tiny = {names[c]: train[c] for c in classes if train[c] < warn_below}
    if tiny and is_main():
        warn_once(
            f"fewer than {warn_below} training pictures (data.warn_below): "
            f"{_counted(tiny)}. A network learns so few by heart, and FID of so few means "
            "little."
        )
    return repeated


def _counted(classes: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in classes.items())
