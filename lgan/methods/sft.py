"""Sequential fine-tuning (SFT): the lower bound, nothing protects the old tasks."""

from lgan.methods.base import LifelongGAN


class SFT(LifelongGAN):
    """Train on the current task from where the last one ended (MeRGAN, Sec. 3)."""
