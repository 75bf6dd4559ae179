"""Networks that gain rows for further classes, beside all that they have learnt.

A class's row is its column of a one-hot input, its scales and offsets, its logit, or its maps.
"""

from collections.abc import Callable, Collection
from dataclasses import replace

import torch
from torch import Tensor, nn

from lgan.errors import ConfigError
from lgan.networks.factory import NetworkFactory, noise_length

Maker = Callable[..., nn.Module]  # (image_shape, num_classes) -> network
TOLERANCE = 1e-4  # of numbers of about 1: a longer sum is rounded otherwise


@torch.no_grad()
def grown(
    network: nn.Module,
    known: int,
    num_classes: int,
    make: Maker,
    factory: NetworkFactory,
    role: str,
) -> nn.Module:
    """Return a network with rows for `num_classes` that has all tensors of one with `known`.

    The row of class c starts as the last one of `make(image_shape, c + 1)`, whose first weights are
    from (seed, role, c) alone: it does not matter which classes come together.
    """
    for label in range(known, num_classes):
        wider = replace(factory, num_classes=label + 1).build(make, role, "class", label)
        theirs = network.state_dict()
        wider.to(next(iter(theirs.values())).device)
        if odd := theirs.keys() ^ wider.state_dict().keys():
            raise _misfit(role, wider, f"{min(odd)} is not there for every number of classes")
        for name, tensor in wider.state_dict().items():
            _take_over(wider, role, name, tensor, theirs[name], label)
        network = wider
    return network


@torch.no_grad()
def widened(
    vectors: Tensor,
    old: nn.Module,
    known: int,
    new: nn.Module,
    rest: Tensor,
    names: Collection[str] | None = None,
) -> Tensor:
    """Return vectors (N, P) over the parameters of a network as ones (N, Q) over a grown one's.

    `rest` (Q,) is what they hold of the new rows. They are over the parameters `names`, or all.
    """
    named = zip(new.named_parameters(), old.parameters(), strict=True)
    pairs = [(n, p, q) for (n, p), q in named if names is None or n in names]
    rows = rest.repeat(len(vectors), 1)
    places = rows.split([p.numel() for _, p, _ in pairs], 1)
    parts = vectors.split([q.numel() for *_, q in pairs], 1)
    for (name, p, q), own, part in zip(pairs, places, parts, strict=True):
        for row, vector in zip(own, part, strict=True):
            _take_over(new, "generator", name, row.view_as(p), vector.view_as(q), known)
    return rows


@torch.no_grad()
def check_rows(
    known: int, num_classes: int, make: Maker, factory: NetworkFactory, role: str
) -> None:
    """Refuse a network that cannot gain rows, or then treats the classes it knew otherwise."""
    old = replace(factory, num_classes=known).build(make, role, 0).eval()
    new = grown(old, known, num_classes, make, factory, role).eval()
    source = torch.Generator().manual_seed(0)
    inputs = [torch.randn(4, *factory.image_shape, generator=source)]
    if role == "generator":
        labels = torch.arange(4) % known
        inputs = [torch.randn(4, noise_length(old), generator=source), labels]
    before, after = (network(*inputs) for network in (old, new))
    if isinstance(before, Tensor):
        before, after = (before,), (after,)
    for was, now in zip(before, after, strict=True):
        if not torch.allclose(now[..., : was.shape[-1]], was, atol=TOLERANCE):
            raise _misfit(role, new, "what it makes of the classes it knew changes with them")


def check_task_free(known: int, num_tasks: int, factory: NetworkFactory) -> None:
    """Refuse networks of translations that have tensors for each task: they gain none."""
    for role in ("generator", "discriminator"):
        sizes = []
        with torch.device("meta"):
            for count in (known, num_tasks):
                made = replace(factory, num_classes=count).build(getattr(factory, role), role, 0)
                sizes.append({name: t.shape for name, t in made.state_dict().items()})
        if sizes[0] != sizes[1]:
            raise ConfigError(
                f"network.{role}={type(made).__name__} has tensors for each of {known} tasks, and "
                f"there are {num_tasks} now; only networks that do not know the tasks can go on."
            )


def _take_over(
    network: nn.Module, role: str, name: str, mine: Tensor, theirs: Tensor, known: int
) -> None:
    """Copy a tensor of a network with `known` classes to where it stands in a grown one's."""
    sizes = zip(mine.shape, theirs.shape, strict=False)
    longer = [axis for axis, (now, before) in enumerate(sizes) if now != before]
    if mine.dim() != theirs.dim() or len(longer) > 1 or mine.numel() < theirs.numel():
        was, now = tuple(theirs.shape), tuple(mine.shape)
        raise _misfit(role, network, f"{name}, {was}, becomes {now}, not longer along one axis")
    if not longer:
        mine.copy_(theirs)
        return
    (axis,) = longer
    places = torch.arange(theirs.shape[axis], device=mine.device)
    if name in getattr(network, "classes_first", ()):
        places[known:] += mine.shape[axis] - theirs.shape[axis]
    mine.index_copy_(axis, places, theirs)


def _misfit(role: str, network: nn.Module, why: str) -> ConfigError:
    return ConfigError(
        f"network.{role}={type(network).__name__} cannot gain rows for further classes: {why}; "
        "choose a network that has a row for each class behind the others' (of DGM's generators, "
        "one with labels=beside), or in a new run data.capacity=all."
    )
