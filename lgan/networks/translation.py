"""What the translators and their discriminators share: norms, initial weights, checkpoints.

Sources: pix2pix (Isola et al. 2017), CycleGAN (Zhu et al. 2017a), BicycleGAN (Zhu et al. 2017b) and
their PyTorch code. Modules are nested as there, so that the keys of a `state_dict` are the same.

Constructors take `image_shape` (C, H, W) of the target pictures; `num_classes`, which is not used,
since tasks have generators, or layers, of their own; and `input_channels`, None for as many as the
target has. Pictures that are too small, or of other sizes than a network takes, are refused.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

NormKind = Literal["batch", "instance", "none"]
LEAK = 0.2


class InstanceNorm(nn.InstanceNorm2d):
    """Without affine parameters and running statistics."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, C, H, W), each map normalised by its statistics in float32."""
        return super().forward(x.float()).to(x.dtype)


_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")
_NORMS: dict[str, type[nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": InstanceNorm,
    "none": nn.Identity,  # keeps the numbering of the layers
}


def make_norm(kind: NormKind, channels: int) -> nn.Module:
    """Return a norm for `channels` maps; "none" gives a placeholder."""
    return _NORMS[kind](channels)


@torch.no_grad()
def init_normal(network: nn.Module, std: float = 0.02) -> None:
    """Draw weights as pix2pix: from N(0, std), batch norms' scales from N(1, std), offsets 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
            mean = 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0
            nn.init.normal_(module.weight, mean, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def from_netg(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a pix2pix, CycleGAN or BicycleGAN checkpoint as a `state_dict` of lgan's translator.

    Without "module." of data parallel networks, and plain instance norms' statistics, never read.
    """
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    affine = {key.rpartition(".")[0] for key in plain if key.endswith(".weight")}
    unread = [k for k in plain if k.endswith(_STATISTICS) and k.rpartition(".")[0] not in affine]
    return {key: value for key, value in plain.items() if key not in unread}


def to_netg(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a translator's `state_dict` as a `netG` checkpoint: on the CPU, nothing shared."""
    return {key: value.detach().cpu().clone() for key, value in state.items()}
