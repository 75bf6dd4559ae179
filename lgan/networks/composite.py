"""Several networks that a method knows as one, and the objective each: those of CycleGAN, ..."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lgan.arguments import Count
from lgan.networks.factory import noise_length
from lgan.networks.roles import ImageShape, PictureDiscriminator, Translator, with_channels


class CycleGenerator(Translator):
    """Two translators: `forward_` from inputs to targets (netG_A), `backward_` the other way."""

    halves = {"forward": "forward_", "backward": "backward_"}
    parts = ("forward_", "backward_")  # latest_net_G_A.pth, latest_net_G_B.pth

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        translator: Callable[..., Translator],  # (image_shape, num_classes, input_channels=...)
        input_channels: Count | None = None,
    ) -> None:
        super().__init__()
        source = with_channels(image_shape, input_channels)
        self.forward_ = translator(image_shape, num_classes, input_channels=source[0])
        self.backward_ = translator(source, num_classes, input_channels=image_shape[0])

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return targets (B, C, H, W) in [-1, 1] from input pictures z (B, inputs, H, W)."""
        return self.forward_(z, y)


class CycleDiscriminator(PictureDiscriminator):
    """Two discriminators: `target` on target pictures (netD_A), `source` on inputs (netD_B)."""

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        patch: Callable[..., PictureDiscriminator],  # (image_shape, num_classes); not conditional
        input_channels: Count | None = None,
    ) -> None:
        super().__init__()
        self.target = patch(image_shape, num_classes)
        self.source = patch(with_channels(image_shape, input_channels), num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the target side's scores of images (B, C, H, W)."""
        return self.target(images)


class BicycleGenerator(Translator):
    """BicycleGAN's generator, called with pictures and codes, and the encoder it is trained with.

    The encoder gives mean and log variance of target pictures' codes, both (B, code_length).
    """

    halves = {"forward": "translator"}
    parts = ("translator", "encoder")  # latest_net_G.pth, latest_net_E.pth

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        translator: Callable[..., Translator],  # (image_shape, num_classes, code_length=...)
        encoder: Callable[..., nn.Module],  # (image_shape, code_length=...)
        code_length: Count = 8,
    ) -> None:
        super().__init__()
        self.code_length = code_length
        self.translator = translator(image_shape, num_classes, code_length=code_length)
        self.encoder = encoder(image_shape, code_length=code_length)

    def forward(self, z: Tensor, y: Tensor | None = None, code: Tensor | None = None) -> Tensor:
        """Return targets (B, C, H, W) in [-1, 1] from pictures z (B, inputs, H, W) and codes."""
        if code is None:  # drawn by torch's global random state
            code = torch.randn(len(z), self.code_length, device=z.device, dtype=z.dtype)
        return self.translator(z, code)


class Autoencoder(nn.Module):
    """A VAE: a generator of classes, and the encoder that it is trained with.

    The encoder is built as a discriminator of 2 * z_dim classes, whose logits are means and log
    variances of pictures' codes.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        decoder: Callable[..., nn.Module],  # (image_shape, num_classes), a generator of classes
        encoder: Callable[..., nn.Module],  # (image_shape, num_classes), a discriminator
    ) -> None:
        super().__init__()
        self.num_classes, self.decoder = num_classes, decoder(image_shape, num_classes)
        self.z_dim = noise_length(self.decoder)
        first = getattr(self.decoder, "classes_first", ())  # `lgan.networks.growth`
        self.classes_first = tuple(f"decoder.{name}" for name in first)
        self.encoder = encoder(image_shape, 2 * self.z_dim)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance, both (B, z_dim), of the codes of images (B, C, H, W)."""
        mean, log_variance = self.encoder(images)[1].chunk(2, dim=1)
        return mean, log_variance

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] from codes z (B, z_dim) and classes y (B,)."""
        return self.decoder(z, y)


class BicycleDiscriminator(PictureDiscriminator):
    """Two discriminators, by where the code is from: `encoded` (netD) and `random` (netD2)."""

    def __init__(
        self, image_shape: ImageShape, num_classes: int, patch: Callable[..., PictureDiscriminator]
    ) -> None:
        super().__init__()
        self.encoded = patch(image_shape, num_classes)
        self.random = patch(image_shape, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the scores of images (B, C, H, W) made with random codes, for each scale."""
        return self.random(images)
