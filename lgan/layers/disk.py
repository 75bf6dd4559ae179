"""How many bytes a generator and the masks of its tasks take, by format (DGM, Table 4)."""

from lgan.layers.growing import GrowingGenerator

FLOAT, INT32, INT64 = 4, 4, 8


def disk_bytes(generator: GrowingGenerator) -> dict[str, int]:
    """Return bytes of the weights in fp32, and of all binary masks in three formats.

    Weights are the maskable ones and all tasks' norms and heads. Masks: bits of all elements,
    packed; a flat int32 index for each one; COO, an int64 per axis and an fp32 for each one.
    """
    bits = flat = coo = 0
    for masks in generator.masks.values():
        for task in range(masks.finished):
            mask = masks.of(task)
            ones = int(mask.sum())
            bits += -(-mask.numel() // 8)
            flat += INT32 * ones
            coo += (INT64 * mask.dim() + FLOAT) * ones
    return {
        "weights_fp32": FLOAT * (generator.masked_weights() + generator.norms_and_heads()),
        "masks_packed_bits": bits,
        "masks_flat_int32": flat,
        "masks_coo_int64": coo,
    }
