"""pix2pix's and CycleGAN's `define_G`, restated layer by layer from their code."""

from functools import partial

import torch
from torch import Tensor, nn

NORMS = {
    "batch": partial(nn.BatchNorm2d, affine=True, track_running_stats=True),
    "instance": partial(nn.InstanceNorm2d, affine=False, track_running_stats=False),
    "none": lambda channels: nn.Identity(),
}


class UnetSkipConnectionBlock(nn.Module):
    """A level of the U-Net, as in pix2pix's networks.py."""

    def __init__(self, outer, inner, inputs=None, submodule=None, norm="batch", outermost=False,
                 innermost=False, use_dropout=False):  # fmt: skip
        super().__init__()
        self.outermost, use_bias = outermost, norm == "instance"
        down = nn.Conv2d(inputs or outer, inner, 4, stride=2, padding=1, bias=use_bias)
        came = inner if innermost else inner * 2
        # The outermost's last convolution is made without `bias=use_bias`.
        bias = {} if outermost else {"bias": use_bias}
        up = nn.ConvTranspose2d(came, outer, 4, stride=2, padding=1, **bias)
        before, after = nn.LeakyReLU(0.2, True), nn.ReLU(True)
        if outermost:
            model = [down, submodule, after, up, nn.Tanh()]
        elif innermost:
            model = [before, down, after, up, NORMS[norm](outer)]
        else:
            model = [before, down, NORMS[norm](inner), submodule, after, up, NORMS[norm](outer)]
            model += [nn.Dropout(0.5)] if use_dropout else []
        self.model = nn.Sequential(*model)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class UnetGenerator(nn.Module):
    def __init__(self, input_nc, output_nc, num_downs, ngf, norm, use_dropout):
        super().__init__()
        block = UnetSkipConnectionBlock(ngf * 8, ngf * 8, norm=norm, innermost=True)
        for _ in range(num_downs - 5):
            block = UnetSkipConnectionBlock(
                ngf * 8, ngf * 8, submodule=block, norm=norm, use_dropout=use_dropout
            )
        for share in (4, 2, 1):
            block = UnetSkipConnectionBlock(ngf * share, ngf * share * 2, None, block, norm)
        self.model = UnetSkipConnectionBlock(output_nc, ngf, input_nc, block, norm, outermost=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class ResnetBlock(nn.Module):
    def __init__(self, dim, norm, use_dropout, use_bias):
        super().__init__()
        block = [nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3, bias=use_bias), NORMS[norm](dim),
                 nn.ReLU(True)]  # fmt: skip
        block += [nn.Dropout(0.5)] if use_dropout else []
        block += [nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3, bias=use_bias), NORMS[norm](dim)]
        self.conv_block = nn.Sequential(*block)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class ResnetGenerator(nn.Module):
    def __init__(self, input_nc, output_nc, ngf, norm, use_dropout, n_blocks):
        super().__init__()
        use_bias = norm == "instance"
        model = [nn.ReflectionPad2d(3), nn.Conv2d(input_nc, ngf, 7, bias=use_bias)]
        model += [NORMS[norm](ngf), nn.ReLU(True)]
        for dim in (ngf, ngf * 2):
            model += [nn.Conv2d(dim, dim * 2, 3, stride=2, padding=1, bias=use_bias)]
            model += [NORMS[norm](dim * 2), nn.ReLU(True)]
        model += [ResnetBlock(ngf * 4, norm, use_dropout, use_bias) for _ in range(n_blocks)]
        for dim in (ngf * 4, ngf * 2):
            up = nn.ConvTranspose2d(dim, dim // 2, 3, 2, 1, output_padding=1, bias=use_bias)
            model += [up, NORMS[norm](dim // 2), nn.ReLU(True)]
        model += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, output_nc, 7), nn.Tanh()]
        self.model = nn.Sequential(*model)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def define_g(input_nc, output_nc, ngf, netG, norm="batch", use_dropout=False) -> nn.Module:  # noqa: N803
    """Return what pix2pix's `define_G` returns for these arguments."""
    if netG.startswith("unet"):
        return UnetGenerator(
            input_nc, output_nc, {"unet_128": 7, "unet_256": 8}[netG], ngf, norm, use_dropout
        )
    blocks = {"resnet_9blocks": 9, "resnet_6blocks": 6}[netG]
    return ResnetGenerator(input_nc, output_nc, ngf, norm, use_dropout, blocks)
