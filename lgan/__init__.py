"""lgan: lifelong GANs, generators that learn a sequence of tasks without forgetting."""

__version__ = "0.1.0"
