"""CycleGAN's generator: a residual network between two halvings and two doublings.

Source: Zhu et al. 2017 after Johnson et al. 2016 and its PyTorch code; papers/piggyback_gan.md 2.2.
"""

from functools import partial

from torch import Tensor, nn

from lgan.arguments import Count
from lgan.networks.roles import ImageShape, Translator, with_channels
from lgan.networks.translation import NormKind, init_normal, make_norm

DROPOUT = 0.5


class ResnetBlock(nn.Module):
    """Two 3x3 convolutions with reflected borders, and the input added; no ReLU after the sum."""

    def __init__(self, channels: int, norm: NormKind, bias: bool, dropout: bool) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            make_norm(norm, channels),
            nn.ReLU(inplace=True),
            *([nn.Dropout(DROPOUT)] if dropout else []),  # shifts what follows, as in CycleGAN
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            make_norm(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, channels, H, W) to the same shape."""
        return x + self.conv_block(x)


class ResnetTranslator(Translator):
    """CycleGAN's `netG` with its keys: 11,378,179 parameters with 9 blocks, 7,837,699 with 6.

    `ngf` channels are behind the first convolution, four times as many in the blocks, of which
    CycleGAN has 9 for 256 pixels and more, 6 for 128. Without `bias` only the last convolution has
    one, as in CycleGAN's code with batch norm; `dropout` is inside the blocks.
    """

    multiple, least = 4, 8  # one reflected pixel at a quarter of the size needs two

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        ngf: Count = 64,
        blocks: Count = 9,
        norm: NormKind = "instance",
        bias: bool = True,
        dropout: bool = False,
        input_channels: Count | None = None,
    ) -> None:
        super().__init__()
        outputs, height, width = image_shape
        self.require_size(height, width)
        inputs = with_channels(image_shape, input_channels)[0]
        layers = [nn.ReflectionPad2d(3), *_unit(nn.Conv2d(inputs, ngf, 7, bias=bias), norm)]
        for width in (ngf, 2 * ngf):
            layers += _unit(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=bias), norm)
        layers += [ResnetBlock(4 * ngf, norm, bias, dropout) for _ in range(blocks)]
        up = partial(nn.ConvTranspose2d, stride=2, padding=1, output_padding=1, bias=bias)
        for width in (4 * ngf, 2 * ngf):
            layers += _unit(up(width, width // 2, 3), norm)
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, outputs, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)
        first = 10 + blocks  # the number of the first doubling; each of the two has three parts
        self.last_layers = (f"model.{first + 3}", f"model.{first + 7}")
        init_normal(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return pictures (B, C, H, W) in [-1, 1] of pictures z (B, inputs, H, W); y is unused."""
        self.require_size(z.shape[-2], z.shape[-1])
        return self.model(z)


def _unit(layer: nn.Conv2d | nn.ConvTranspose2d, norm: NormKind) -> list[nn.Module]:
    return [layer, make_norm(norm, layer.out_channels), nn.ReLU(inplace=True)]
