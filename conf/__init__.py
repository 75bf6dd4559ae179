"""lgan's Hydra configuration, installed as the package ``lgan.conf``."""
