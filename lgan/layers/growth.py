"""How much wider a network gets after a task, from how much of it the task reserved.

Source: Ostapenko et al. 2019, Sec. 4.3, and the official code (papers/dgm.md, section 3): there is
to be as much free room for every task as there was for the first.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lgan.networks.chain import Chain, Link


@dataclass(frozen=True)
class LayerSize:
    """A layer as it was while the task was trained."""

    inputs: int  # channels
    outputs: int
    area: int  # weights per pair of input and output channel
    newly: int  # weights that the task reserved and no task before it had


Rule = Callable[[LayerSize, int], int]


def code_rule(layer: LayerSize, more_inputs: int) -> int:
    """Return the further outputs of a layer, as the official code counts them.

    The wider input already adds gain = more_inputs * outputs * area free weights; only what is
    missing is made up for: max(0, ceil((newly - gain) / ((inputs + more_inputs) * area))).
    """
    gain = more_inputs * layer.outputs * layer.area
    return max(0, -(-(layer.newly - gain) // ((layer.inputs + more_inputs) * layer.area)))


def paper_rule(layer: LayerSize, more_inputs: int) -> int:
    """Return them as the paper counts: ceil(newly / weights per output), whatever the input's."""
    return -(-layer.newly // (layer.inputs * layer.area))


def grown_by_weights(
    chain: Chain, sizes: dict[str, LayerSize], widths: dict[str, int], rule: Rule
) -> dict[str, int]:
    """Return the next width of all units under masks of weights (DGMw), the most asked for."""
    grown: dict[str, int] = {}

    def wanted(link: Link) -> int:
        more = 0 if link.source is None else grown[link.source] - widths[link.source]
        return -(-rule(sizes[link.layer], more) // link.per_unit)

    for units in chain.units:
        grown[units] = widths[units] + max(wanted(k) for k in chain.links if k.units == units)
    return grown
