"""What a method leaves on disk: in a checkpoint inside a task, and at the border behind it."""

import time
from collections.abc import Mapping
from typing import Any, Never

import lightning as L

from lgan import distributed
from lgan.errors import RunError
from lgan.objectives.base import Objective

CLOCKS = {"train_seconds": time.perf_counter, "processor_seconds": time.process_time}
"""What training takes: time, and work of this process, which others beside it hardly change."""


class Saved(L.LightningModule):
    """Where training is, and what is saved to go on from there."""

    name: str
    objective: Objective

    def __init__(self) -> None:
        super().__init__()
        self.task_index = 0  # of the task that is learnt, or was last
        self.step, self.total_steps = 0, 0  # generator steps of the task, and of all tasks
        self.stamp: dict[str, str] = {}  # says in every file of which run it is
        self.reset_clocks()

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        # Lightning notes its hooks 25 times in a step; torch would look for parameters each time.
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def reset_clocks(self) -> None:
        """Forget the seconds of another task."""
        self._earlier = dict.fromkeys(CLOCKS, 0.0)
        self.start_clocks()

    def start_clocks(self) -> None:
        """Count from now on."""
        self._began = {name: clock() for name, clock in CLOCKS.items()}

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of training in this task by each of `CLOCKS`, those before a stop included."""
        earlier, began = self._earlier, self._began
        return {name: earlier[name] + clock() - began[name] for name, clock in CLOCKS.items()}

    def structure(self) -> dict[str, Any]:
        """Return what the networks look like after the tasks so far, as plain data."""
        return {}

    def rebuild(self, structure: dict[str, Any]) -> None:
        """Make the networks look like `structure`, so that their tensors can be loaded."""

    def _where(self) -> dict[str, Any]:
        where = {"method": self.name, "task": self.task_index, "total_steps": self.total_steps}
        return where | {"structure": self.structure(), "stamp": self.stamp}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add to a checkpoint inside a task what is needed to go on from it."""
        checkpoint["lgan"] = {
            **self._where(),
            "step": self.step,
            "seconds": self.seconds,
            "objective": self.objective.state_dict(),
            # Statistics of a rank's own share of the batches.
            "own_buffers": distributed.differing_buffers(self),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on where a checkpoint inside a task was written."""
        state = checkpoint["lgan"]
        if (state["method"], state["task"]) != (self.name, self.task_index):
            raise RunError(
                f"the checkpoint is of method={state['method']}, task {state['task']}; "
                f"this is method={self.name}, task {self.task_index}."
            )
        self.step, self.total_steps = state["step"], state["total_steps"]
        before = state.get("seconds", {})  # once a number, of the first clock
        self._earlier |= before if isinstance(before, dict) else {"train_seconds": before}
        self.objective.load_state_dict(state["objective"])
        own = state.get("own_buffers", [])
        if own and len(own) != distributed.world():
            raise RunError(
                f"the checkpoint was written by {len(own)} processes and batch statistics are each "
                f"one's own; continue with trainer.devices={len(own)}, or remove it: the task then "
                "starts anew."
            )
        checkpoint["state_dict"] |= own[distributed.rank()] if own else {}

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Load tensors, all of them: torch overlooks those of a submodule that is None."""
        own, given = ({k: v.shape for k, v in s.items()} for s in (self.state_dict(), state_dict))
        odd = sorted({name for name, _ in own.items() ^ given.items()})
        if odd:
            raise RunError(
                f"the saved state does not fit method={self.name}; missing, unknown or of another "
                f"shape: {', '.join(odd[:5])}{' ...' * (len(odd) > 5)}."
            )
        return super().load_state_dict(state_dict, *args, **kwargs)

    @classmethod
    def load_from_checkpoint(cls, *_: Any, **__: Any) -> Never:  # noqa: ANN401
        """Refuse: a checkpoint holds tensors, and not the networks that they belong to."""
        raise RunError(
            "a checkpoint does not say how its networks are built; "
            "lgan.inference.sample.load_run(FOLDER) loads a run."
        )

    def border_state(self) -> dict[str, Any]:
        """Return what a finished task leaves behind: structure, then tensors."""
        return self._where() | {"state": self.state_dict()}

    def load_border_state(self, state: dict[str, Any]) -> None:
        """Load what `border_state` returned."""
        if state["method"] != self.name:
            raise RunError(
                f"the checkpoint is of method={state['method']} and cannot be loaded into "
                f"method={self.name}."
            )
        self.rebuild(state["structure"])
        self.load_state_dict(state["state"])
        self.task_index, self.total_steps = state["task"], state["total_steps"]
