"""The tiny but real runs that `make soak` disturbs, as data: a name and overrides."""

from __future__ import annotations

from dataclasses import dataclass

EVERY = ("kill", "aimed", "sigterm", "sigint", "checkpoint", "border", "full", "nan", "twice")
"""The faults of a single process."""
RANKS = ("kill", "aimed", "rank", "parent", "sigterm")
"""The faults of several processes."""


@dataclass(frozen=True)
class Configuration:
    """One run, a second or two of training.

    Args:
        name: its method family; with the objective, where the method has several.
        overrides: of lgan-train.
        faults: what is done to it by default; `--faults` can ask for others.
        tasks: number of tasks.
        steps: generator steps of a task; no multiple of `every`, so that a task's last checkpoint
            is one that its end alone asks for.
        every: steps between two checkpoints.
        ranks: number of processes.
        parent: tasks of an undisturbed run, which `lgan-extend` then extends to all; 0: none.
    """

    name: str
    overrides: tuple[str, ...]
    faults: tuple[str, ...] = ("kill",)
    tasks: int = 2
    steps: int = 13
    every: int = 3
    ranks: int = 1
    parent: int = 0

    def command(self) -> list[str]:
        """Return the overrides that all runs of the configuration share, disturbed or not."""
        return [
            *self.overrides,
            f"data.num_tasks={self.tasks}",
            f"training.steps={self.steps}",
            f"callbacks.checkpoint.every={self.every}",
            "callbacks.losses.every=1",
            "callbacks.samples.per_class=2",
            "callbacks.progress=null",
            "threads=1",
            *([] if self.ranks > 1 else ["trainer=cpu"]),
        ]


DIGITS = ("data=digits", "evaluation=fast")
PHOTOS = (
    "data=photos",
    "data.splits.train_pairs=8",
    "data.splits.test_pairs=4",
    "training.learning_rate=0.01",
    "training.batch_size=2",
    "evaluation=fast",
    "evaluation.classifier_training.steps=5",
    "evaluation.samples_per_class=4",
)
PAIRED = (*PHOTOS, "network.generator.ngf=4", "network.discriminator.ndf=4")
CYCLE = (
    *PHOTOS,
    "data.paired=false",
    "objective=cyclegan",
    "objective.pool_size=3",
    "network=cycle_resnet6",
    "network.generator.translator.ngf=4",
    "network.generator.translator.blocks=1",
    "network.discriminator.patch.ndf=4",
)
CODED = (
    *PHOTOS,
    "objective=bicyclegan",
    "network=bicycle64",
    "network.generator.translator.ngf=4",
    "network.generator.encoder.ndf=4",
    "network.discriminator.patch.ndf=4",
)
DDP = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")

SETTLING = ("method.settle=0.4",)  # the last five steps: a checkpoint falls into them
OWN = {"ewc_gan": ("method.fisher_samples=8",), "dgm_w": SETTLING, "dgm_a": SETTLING}
"""What a method needs to be quick, and to have a checkpoint in each phase, besides its name."""
DIGIT_METHODS = ("sft", "joint", "per_task", "ewc_gan", "dgr", "mergan_jtr", "mergan_ra", "dgm_w",
                 "dgm_a", "joint_classifier", "rwalk_s", "dual_memory")  # fmt: skip
PAIRED_METHODS = ("full", "piggyback_gan", "piggyback_mask", "progressive", "lifelong_gan")
THOROUGH = {"mergan_jtr": EVERY, "dgm_w": ("kill", "aimed"), "sft": ("kill", "collecting")}
"""Those on digits that meet more than random kills."""


def _configurations() -> list[Configuration]:
    digits = [
        Configuration(
            name,
            (f"method={name}", *OWN.get(name, ()), *DIGITS),
            THOROUGH.get(name, ("kill",)),
        )
        for name in DIGIT_METHODS
    ]
    paired = [Configuration(f"{n}-pix2pix", (f"method={n}", *PAIRED)) for n in PAIRED_METHODS]
    others = [
        Configuration("piggyback_gan-cyclegan", ("method=piggyback_gan", *CYCLE), EVERY),
        *(
            Configuration(f"{n}-bicyclegan", (f"method={n}", *CODED))
            for n in ("full", "lifelong_gan")
        ),
    ]
    ranks = [
        Configuration("mergan_jtr-2ranks", ("method=mergan_jtr", *DIGITS, *DDP), RANKS, ranks=2),
        Configuration("dgm_w-2ranks", ("method=dgm_w", *SETTLING, *DIGITS, *DDP), ranks=2),
        Configuration(
            "piggyback_gan-cyclegan-2ranks", ("method=piggyback_gan", *CYCLE, *DDP), ranks=2
        ),
    ]
    extended = [
        Configuration(f"{n}-extended", (f"method={n}", *own), ("extended",), tasks=3, parent=1)
        for n, own in (("mergan_jtr", DIGITS), ("piggyback_gan", PAIRED))
    ]
    return [*digits, *paired, *others, *ranks, *extended]


CONFIGURATIONS = {configuration.name: configuration for configuration in _configurations()}
QUICK = ("mergan_jtr", "dgm_w", "piggyback_gan-cyclegan")
"""What `--quick` takes; only the first of them meets every fault there."""
