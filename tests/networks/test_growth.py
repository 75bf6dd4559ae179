from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from lgan.errors import ConfigError
from lgan.networks.composite import Autoencoder
from lgan.networks.dcgan import Mergan32Discriminator, Mergan32Generator
from lgan.networks.dgm import DGMDiscriminator, DGMGenerator
from lgan.networks.dgm_resnet import DGMResNetGenerator
from lgan.networks.factory import NetworkFactory
from lgan.networks.growth import check_rows, check_task_free, grown, widened
from lgan.networks.mlp import MLPDiscriminator, MLPGenerator
from lgan.networks.patchgan import PatchGAN
from lgan.networks.resnet import Mergan64Discriminator, Mergan64Generator
from lgan.networks.unet import UnetGenerator

RESNET = partial(DGMResNetGenerator, width=4, z_dim=12, labels="beside")
NETWORKS = {
    "mlp": (8, partial(MLPGenerator, width=8), partial(MLPDiscriminator, width=8)),
    "mergan32": (32, partial(Mergan32Generator, width=2), partial(Mergan32Discriminator, width=2)),
    "concat": (64, partial(Mergan64Generator, width=1), partial(Mergan64Discriminator, width=1)),
    "cbn": (64, partial(Mergan64Generator, width=1, conditioning="cbn"), DGMDiscriminator),
    "beside": (16, partial(DGMGenerator, z_dim=8, labels="beside"), DGMDiscriminator),
    "vae": (16, partial(Autoencoder, decoder=partial(DGMGenerator, z_dim=8, labels="beside"),
                        encoder=MLPDiscriminator), MLPDiscriminator),
    "class heads": (16, partial(DGMGenerator, z_dim=8, labels="beside", head_per="class"),
                    MLPDiscriminator),
    "resnet": (16, RESNET, MLPDiscriminator),
    "length": (16, partial(RESNET, labels="overwrite", label_length=6), DGMDiscriminator),
}  # fmt: skip


def factory_of(kind: str, known: int = 2) -> NetworkFactory:
    side, generator, discriminator = NETWORKS[kind]
    return NetworkFactory(generator, discriminator, (1, side, side), known, seed=3)


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_was_learnt_stays_and_new_rows_are_the_classes_own(kind) -> None:
    factory = factory_of(kind)
    for role, build in (
        ("generator", factory.build_generator),
        ("discriminator", factory.build_discriminator),
    ):
        make = getattr(factory, role)
        check_rows(2, 4, make, factory, role)
        network = build()
        torch.manual_seed(0)
        before = torch.get_rng_state()
        at_once = grown(network, 2, 4, make, factory, role)
        assert torch.equal(torch.get_rng_state(), before)
        in_steps = grown(grown(network, 2, 3, make, factory, role), 3, 4, make, factory, role)
        for name, tensor in at_once.state_dict().items():
            assert torch.equal(tensor, in_steps.state_dict()[name]), name


def test_a_row_is_a_function_of_seed_role_and_class() -> None:
    factory = factory_of("mlp")
    make = factory.discriminator
    one, other = (
        grown(factory.build(make, "discriminator", start), known, 5, make, factory, "discriminator")
        for start, known in ((0, 2), (1, 2))
    )
    assert torch.equal(one.classify.weight[2:], other.classify.weight[2:])
    assert not torch.equal(one.classify.weight[:2], other.classify.weight[:2])
    assert len({tuple(row.tolist()) for row in one.classify.weight}) == 5


def test_vectors_over_parameters_follow(networks) -> None:
    """Of G = W z + o_c with two classes: W has 12 numbers, then o_c 4 each."""
    old = networks.generator((1, 2, 2), 2)
    new = grown(old, 2, 4, networks.generator, networks, "generator")
    vectors = torch.stack([parameters_to_vector(old.parameters()), torch.arange(20.0)]).detach()
    wide = widened(vectors, old, 2, new, parameters_to_vector(new.parameters()).detach())
    assert torch.equal(wide[0], parameters_to_vector(new.parameters()))
    assert wide[1, :20].tolist() == list(range(20))
    rows = torch.arange(12 + 2 * 4)
    front = widened(rows[None].float(), old, 2, new, torch.full((28,), -1.0))
    assert front[0].tolist() == [*range(20), *[-1.0] * 8]


class TwoAxes(MLPDiscriminator):
    def __init__(self, image_shape, num_classes) -> None:
        super().__init__(image_shape, num_classes, width=8)
        self.pairs = nn.Parameter(torch.zeros(num_classes, num_classes))


class OneMore(MLPDiscriminator):
    def __init__(self, image_shape, num_classes) -> None:
        super().__init__(image_shape, num_classes, width=8)
        self.each = nn.ModuleList(nn.Linear(1, 1) for _ in range(num_classes))
        self.score = nn.Linear(8, 1)


@pytest.mark.parametrize(
    ("role", "make", "words"),
    [
        ("discriminator", TwoAxes, r"TwoAxes.*pairs, \(2, 2\), becomes \(3, 3\)"),
        ("discriminator", OneMore, "OneMore.*each.2.* is not there for every"),
        ("generator", partial(DGMGenerator, z_dim=32), "DGMGenerator.*changes.*labels=beside"),
    ],
)
def test_what_gains_no_rows_is_refused_by_name(role, make, words) -> None:
    factory = NetworkFactory(make, make, (1, 16, 16), 2)
    with pytest.raises(ConfigError, match=f"network.{role}={words}"):
        check_rows(2, 3, make, factory, role)


def test_translators_gain_no_rows() -> None:
    plain = NetworkFactory(partial(UnetGenerator, ngf=2, downs=5), PatchGAN, (3, 32, 32), 2)
    check_task_free(2, 3, plain)
    told = NetworkFactory(plain.generator, MLPDiscriminator, (3, 32, 32), 2)
    with pytest.raises(ConfigError, match=r"network.discriminator=MLP.* each of 2 tasks.* 3 now"):
        check_task_free(2, 3, told)
