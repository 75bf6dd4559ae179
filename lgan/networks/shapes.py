"""What a network asks of its images, checked once, with a message that names the way out."""

from lgan.errors import ConfigError

ImageShape = tuple[int, int, int]


def require_side(image_shape: ImageShape, side: int, network: str) -> None:
    """Refuse images that are not `side` x `side`."""
    _, height, width = image_shape
    if (height, width) != (side, side):
        raise ConfigError(
            f"network={network} is made for {side}x{side} images but the data are "
            f"{height}x{width}; choose another network or resize the data to {side}."
        )


def with_channels(image_shape: ImageShape, channels: int | None) -> ImageShape:
    """Return the shape with another number of channels; with None the same."""
    return image_shape if channels is None else (channels, *image_shape[1:])
