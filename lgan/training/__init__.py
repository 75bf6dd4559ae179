"""From a config to a trained run: build, then one task after the other."""
