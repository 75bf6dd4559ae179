"""How many bytes a generator and the masks of its tasks take, by format (DGM, Table 4)."""

from lgan.layers.growing import GrowingGenerator

FLOAT, INT32, INT64 = 4, 4, 8


def disk_bytes(generator: GrowingGenerator) -> dict[str, int]:
    """Return bytes of the weights in fp32, and of all binary masks in three formats.

    Weights are the maskable ones and all tasks' norms and heads. Masks: bits of all elements,
    packed; a flat int32 index for each one; COO, an int64 per axis and an fp32 for each one.
    """
    masks = [m.of(task) for m in generator.masks.values() for task in range(m.finished)]
    ones = [(mask.dim(), int(mask.sum())) for mask in masks]
    return {
        "weights_fp32": FLOAT * (generator.masked_weights() + generator.norms_and_heads()),
        "masks_packed_bits": sum(-(-mask.numel() // 8) for mask in masks),
        "masks_flat_int32": INT32 * sum(count for _, count in ones),
        "masks_coo_int64": sum((INT64 * axes + FLOAT) * count for axes, count in ones),
    }
