"""Runs on the pretend accelerator, trained inside a `Pretend()`.

The overrides are `trust=[pretend_run] trainer._target_=pretend_run.pretend_trainer`.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import lightning as L
import torch
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from pretend import DEVICE

from lgan.training.trainer import task_trainer


class PretendAccelerator(Accelerator):
    """What Lightning needs to know of the device."""

    def setup_device(self, device: torch.device) -> None:
        assert device == DEVICE

    def teardown(self) -> None: ...

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        return {}

    @staticmethod
    def parse_devices(devices: Any) -> int:
        return 1

    @staticmethod
    def get_parallel_devices(devices: int) -> list[torch.device]:
        return [DEVICE]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return "pretend"


def pretend_trainer(**settings: Any) -> L.Trainer:
    """Return lgan's Trainer, on the device."""
    plain = L.Trainer

    def made(**arguments: Any) -> L.Trainer:
        place = SingleDeviceStrategy(device=DEVICE)
        return plain(**arguments | {"accelerator": PretendAccelerator(), "strategy": place})

    with patch.object(L, "Trainer", made):
        return task_trainer(**settings)
