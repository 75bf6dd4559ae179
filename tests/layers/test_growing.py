"""Generators under masks: what old tasks draw never changes, what the published scheme leaks."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn

from lgan.errors import ConfigError
from lgan.layers.growing import Settings, UnitMaskedGenerator, WeightMaskedGenerator, disk_bytes
from lgan.layers.masked import UnitMaskedLayer, WeightMaskedLayer
from lgan.layers.masks import TaskMasks
from lgan.networks.dgm import DGMGenerator, init_weights
from lgan.networks.dgm_resnet import DGMResNetGenerator

SETTINGS = Settings(fill=partial(init_weights, how="normal"), seed=3)
CPU = torch.device("cpu")
TASKS = [(0,), (1, 2), (3,), (4,)]


def small_dcgan():
    return DGMGenerator((1, 16, 16), 5, width=4, z_dim=12)


def small_resnet():
    return DGMResNetGenerator((3, 32, 32), 5, width=6, z_dim=12)


def beside_dcgan():
    return DGMGenerator((1, 16, 16), 5, width=4, z_dim=12, labels="beside")


def beside_resnet():
    return DGMResNetGenerator((3, 32, 32), 5, width=6, z_dim=12, labels="beside")


def make(kind, network, **knobs):
    torch.manual_seed(0)
    return kind(network(), SETTINGS, **knobs)


def images(network, classes):
    z = torch.randn(8, 12, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return network(z, torch.tensor(classes).repeat(8)[:8])


def train_task(generator, classes, index) -> None:
    """Three real Adam steps on a random loss, protected as the callback does it."""
    generator.add_task(classes)
    generator.train()
    parameters = [p for p in generator.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=0.1, betas=(0.5, 0.999))
    source = torch.Generator().manual_seed(index)
    for scale in (1.0, 5.0, 50.0):
        generator.set_scale(scale)
        z = torch.randn(8, 12, generator=source)
        target = torch.randn(8, 1, 1, 1, generator=source)
        drawn = generator(z, torch.tensor(classes).repeat(8)[:8])
        loss = (drawn - target).square().mean()
        for masks in generator.masks.values():
            push = torch.randn(masks.shapes[-1], generator=source) - 0.4  # more on than off
            loss = loss + 0.05 * (masks.embedding * push).sum()
        optimizer.zero_grad()
        loss.backward()
        generator.protect()
        optimizer.step()
    generator.commit()


def overwrite_unprotected(generator) -> None:
    """Write N(0, 100^2) into every weight that no finished task protects."""
    generator.add_task((4,))
    with torch.no_grad():
        for layer in generator.layers.values():
            free = layer.unprotected().expand_as(layer.weight).bool()
            noise = torch.randn(layer.weight.shape) * 100
            layer.weight.copy_(torch.where(free, noise, layer.weight))


@pytest.mark.parametrize("network", [small_dcgan, small_resnet])
@pytest.mark.parametrize("kind", [WeightMaskedGenerator, UnitMaskedGenerator])
def test_old_tasks_draw_the_same_bits_for_ever(kind, network) -> None:
    generator = make(kind, network)
    learnt = []
    for index, classes in enumerate(TASKS):
        train_task(generator, classes, index)
        learnt.append(images(generator.bake(index), classes))
        for task, before in enumerate(learnt):
            assert torch.equal(images(generator.bake(task), TASKS[task]), before), task
    widths = [task["widths"] for task in generator.tasks]
    assert widths[-1] != widths[0], "it has grown"
    assert len({image.mean().item() for image in learnt}) == len(TASKS), "and learnt"
    overwrite_unprotected(generator)
    for task, before in enumerate(learnt):
        assert torch.equal(images(generator.bake(task), TASKS[task]), before), task


def test_the_published_scheme_leaks() -> None:
    """Masks before the batch norm: its offset passes the ReLU of a unit that is off (6.7)."""
    generator = make(UnitMaskedGenerator, small_dcgan, leak=True)
    drifts = []
    for index, classes in enumerate(TASKS):
        train_task(generator, classes, index)
        if not index:
            # As training does to some: positive offsets on units that are off.
            for norm in generator.network.norms:
                norm.tasks[0].bias.data.fill_(0.5)
            before = images(generator.bake(0), (0,))
        drifts.append((images(generator.bake(0), (0,)) - before).abs().max().item())
    assert drifts[0] == 0 and drifts[-1] > 1e-4
    overwrite_unprotected(generator)
    assert (images(generator.bake(0), (0,)) - before).abs().max() > 0.1


@pytest.mark.parametrize("network", [small_dcgan, small_resnet])
@pytest.mark.parametrize("kind", [WeightMaskedGenerator, UnitMaskedGenerator])
def test_baked_is_what_a_hard_soft_mask_draws(kind, network) -> None:
    """With s e = +-90 the soft mask is binary, and the current task's own forward must agree."""
    generator = make(kind, network)
    train_task(generator, (0,), 0)
    generator.add_task((1,))
    for masks in generator.masks.values():
        random = torch.randn(masks.shapes[-1], generator=torch.Generator().manual_seed(1))
        masks.embedding.data = random.sign() * 90
    generator.set_scale(1.0)
    generator.eval()
    soft = images(generator, (1,))
    generator.commit()
    torch.testing.assert_close(images(generator.bake(1), (1,)), soft)


@pytest.mark.parametrize("kind", [WeightMaskedGenerator, UnitMaskedGenerator])
def test_baked_is_plain_and_shares_nothing(kind) -> None:
    generator = make(kind, small_dcgan)
    train_task(generator, (0,), 0)
    baked = generator.bake(0)
    plain = {type(module) for module in baked.modules()}
    assert {nn.ConvTranspose2d, nn.BatchNorm2d} <= plain
    assert not any("lgan.layers" in kind.__module__ for kind in plain)
    before = images(generator.bake(0), (0,))
    for parameter in baked.parameters():
        parameter.data.zero_()
    assert torch.equal(images(generator.bake(0), (0,)), before)


@pytest.mark.parametrize("network", [small_dcgan, small_resnet, beside_dcgan, beside_resnet])
@pytest.mark.parametrize("kind", [WeightMaskedGenerator, UnitMaskedGenerator])
def test_structure_and_tensors_bring_it_back(kind, network) -> None:
    generator = make(kind, network)
    for index, classes in enumerate(TASKS[:2]):
        train_task(generator, classes, index)
    again = kind(network(), SETTINGS)
    again.rebuild(copy.deepcopy(generator.structure()))
    again.load_state_dict(generator.state_dict())
    for task in range(2):
        expected = images(generator.bake(task), TASKS[task])
        assert torch.equal(images(again.bake(task), TASKS[task]), expected)
    assert again.next_widths() == generator.next_widths()
    for one in (generator, again):
        one.add_task((3,))
    for mine, theirs in zip(again.parameters(), generator.parameters(), strict=True):
        assert torch.equal(mine, theirs), "growth is a function of the seed"


def test_protection_of_weights_by_hand() -> None:
    """g' = (1 - m_old) g."""
    layer = WeightMaskedLayer(nn.Linear(2, 2, bias=False))
    layer.add_task(0.0)
    layer.masks.embedding.data = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    layer.commit()
    layer.add_task(0.0)
    layer.weight.grad = torch.full((2, 2), 3.0)
    layer.protect()
    assert layer.weight.grad.tolist() == [[0, 3], [3, 0]]


def test_protection_of_units_by_hand() -> None:
    """g' = (1 - min(m_i, m_j)) g: only where both ends are reserved (HAT)."""
    reads, makes = TaskMasks(), TaskMasks()
    for masks, reserved in ((reads, [1.0, -1.0]), (makes, [1.0, 1.0, -1.0])):
        masks.add_task((len(reserved),), CPU)
        masks.embedding.data = torch.tensor(reserved)
        masks.commit()
        masks.add_task((len(reserved),), CPU)
    layer = UnitMaskedLayer(nn.Linear(2, 3, bias=False), reads, makes, 1, leak=False)
    assert layer.unprotected().tolist() == [[0, 1], [0, 1], [1, 1]]
    first = UnitMaskedLayer(nn.Linear(4, 6, bias=False), None, makes, 2, leak=False)
    assert first.unprotected().flatten().tolist() == [0, 0, 0, 0, 1, 1]


def test_old_weights_stay_in_the_corner_when_a_layer_grows() -> None:
    layer = WeightMaskedLayer(nn.ConvTranspose2d(2, 3, 4, bias=False))
    before = layer.weight.detach().clone()
    layer.grow(4, 5, partial(nn.init.constant_, val=7.0))
    assert layer.weight.shape == (4, 5, 4, 4) and layer.weight.requires_grad
    assert torch.equal(layer.weight[:2, :3], before)
    assert (layer.weight[2:] == 7).all() and (layer.weight[:, 3:] == 7).all()


def test_each_task_has_its_own_norm_and_head_and_old_ones_take_no_gradient() -> None:
    generator = make(WeightMaskedGenerator, small_dcgan)
    train_task(generator, (0,), 0)
    generator.add_task((1,))
    head = generator.network.head.tasks
    assert len(head) == 2 and not any(p.requires_grad for p in head[0].parameters())
    norm = generator.network.norms[0].tasks
    before = norm[0].running_mean.clone()
    generator.train()
    generator(torch.randn(8, 12), torch.ones(8, dtype=torch.long)).sum().backward()
    assert torch.equal(norm[0].running_mean, before), "an old norm's statistics do not move"
    assert not norm[0].training and norm[1].training


def test_capacity_and_disk_by_hand() -> None:
    """Widths 8 and 4 on 12 noise entries: 12*8*16 and 8*4*16 weights, half of them reserved."""
    generator = make(WeightMaskedGenerator, small_dcgan)
    generator.add_task((0,))
    for masks in generator.masks.values():
        flat = torch.ones(masks.embedding.numel())
        flat[::2] = -1
        masks.embedding.data = flat.view(masks.shapes[0])
    generator.commit()
    capacity = generator.capacity()
    assert capacity["project"]["trained_size"] == 1536 == 2 * capacity["project"]["newly"]
    assert capacity["project"]["reserved"] == 768 and capacity["project"]["reused"] == 0
    # ceil(768 / (12*16)) = 4 more outputs; they give 4*4*16 = 256 of the 256 wanted below.
    assert (capacity["project"]["width"], capacity["convolutions.0"]["width"]) == (12, 4)
    rest = 4 * (8 + 4) + 4 * 16  # scale, offset, mean, variance of the channels; the head
    assert generator.norms_and_heads() == rest
    disk = disk_bytes(generator)
    assert disk["weights_fp32"] == 4 * (1536 + 512 + rest)
    assert disk["masks_packed_bits"] == (1536 + 512) // 8
    assert disk["masks_flat_int32"] == 4 * 1024
    assert disk["masks_coo_int64"] == 36 * 1024


class NoChain(nn.Module):
    z_dim = 3


def test_a_network_without_a_chain_is_refused() -> None:
    with pytest.raises(ConfigError, match="NoChain declares no chain"):
        WeightMaskedGenerator(NoChain(), SETTINGS)


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [(nn.Linear(2, 2), "bias=False"), (nn.Conv1d(2, 2, 1, bias=False), "can be converted")],
)
def test_layers_that_cannot_be_protected_are_refused(layer, sentence) -> None:
    with pytest.raises(ConfigError, match=sentence):
        WeightMaskedLayer(layer)


@pytest.mark.parametrize("kind", [WeightMaskedGenerator, UnitMaskedGenerator])
def test_what_tasks_add_is_what_is_stored(kind) -> None:
    generator = make(kind, small_dcgan)
    for task in range(2):
        train_task(generator, [task], task)
    added = [generator.numbers_of(task)["weight"] for task in range(2)]
    assert added[0] > 0 and sum(added) == generator.stored_parameters()
    assert generator.stored_parameters() == generator.masked_weights()
