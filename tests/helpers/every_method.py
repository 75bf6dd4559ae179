"""Every method with every family of objectives, as the overrides of runs that take a second."""

from __future__ import annotations

TWO_TASKS = (
    "training.steps=2",
    "data.num_tasks=2",
    "callbacks.evaluation=null",
    "callbacks.progress=null",
    "callbacks.samples.per_class=2",
    "trainer=cpu",
    "threads=1",
)
PHOTOS = (
    "data=photos",
    "data.splits.train_pairs=8",
    "data.splits.test_pairs=2",
    "training.batch_size=2",
)
UNET = (*PHOTOS, "network.generator.ngf=4", "network.discriminator.ndf=4")
BICYCLE = (
    *PHOTOS,
    "network=bicycle64",
    "objective=bicyclegan",
    *(f"network.generator.{part}=4" for part in ("translator.ngf", "encoder.ndf")),
    "network.discriminator.patch.ndf=4",
)
CYCLE = (
    *PHOTOS,
    "data.paired=false",
    "data.splits.size=32",
    "network=cycle_resnet6",
    "objective=cyclegan",
    "objective.pool_size=2",
    "network.generator.translator.ngf=4",
    "network.generator.translator.blocks=1",
    "network.discriminator.patch.ndf=4",
)
DIGITS = ("data=digits",)
FISHER = "method.fisher_samples=4"
FAMILIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "classes": (DIGITS, (
        "joint method.fake_labels=uniform", "joint_classifier", "per_task", "ewc_gan " + FISHER,
        "mergan_jtr", "mergan_jtr method.drawn_share=0.5 method.penalise_replay=true",
        "mergan_ra preset=paper", "dgm_w", "dgm_w method.real_ratio=0.1", "dgm_a", "rwalk_s",
        "dgm_a method.replay=per_class", "dgm_a method.replay_source=set method.drawn_share=0.5",
        "icarl",
        "dual_memory method.n_stm=1 training.critic_steps=1",
    )),
    "hinge": ((*DIGITS, "objective=acgan_hinge"), ("mergan_jtr",)),
    "least squares": ((*DIGITS, "objective=acgan_lsgan"), ("mergan_ra",)),
    "vae": ((*DIGITS, "objective=vae"), ("dual_memory method.n_stm=1 training.critic_steps=1",)),
    "cross entropy": ((*DIGITS, "objective=acgan_bce"), ("dgr",)),
    "pix2pix": (UNET, (
        "ewc_gan " + FISHER, "mergan_ra", "piggyback_gan", "piggyback_mask", "progressive",
        "lifelong_gan",
    )),
    "bicyclegan": (BICYCLE, ("progressive", "lifelong_gan")),
    "cyclegan": (CYCLE, ("mergan_ra",)),
}  # fmt: skip
"""By family: what is common, and the methods, each with its own overrides behind it."""


def cases() -> dict[str, list[str]]:
    """Return the overrides of every run by its name."""
    return {
        f"{family}: {method}": [*common, *TWO_TASKS, f"method={method}".split()[0],
                                *method.split()[1:]]
        for family, (common, methods) in FAMILIES.items()
        for method in methods
    }  # fmt: skip


CASES = cases()
EXACT = {
    name for name in CASES
    if name.split(": ")[1].startswith(("per_task", "dgm", "piggyback", "progressive"))
}  # fmt: skip
"""Those whose old images stay the same to the bit."""
WHOLE = [
    "classes: per_task", "classes: joint_classifier", "classes: joint method.fake_labels=uniform",
    "classes: ewc_gan method.fisher_samples=4", "classes: dgm_w method.real_ratio=0.1",
    "classes: mergan_jtr method.drawn_share=0.5 method.penalise_replay=true",
    "classes: mergan_ra preset=paper", "classes: dgm_a method.replay=per_class",
    "classes: dgm_a method.replay_source=set method.drawn_share=0.5", "cross entropy: dgr",
    "classes: icarl", "classes: rwalk_s",
    "classes: dual_memory method.n_stm=1 training.critic_steps=1",
    "vae: dual_memory method.n_stm=1 training.critic_steps=1",
    "pix2pix: mergan_ra", "pix2pix: piggyback_gan", "pix2pix: piggyback_mask",
    "bicyclegan: progressive", "bicyclegan: lifelong_gan", "cyclegan: mergan_ra",
]  # fmt: skip
"""Those that differ in what a step needs of old tasks."""
