"""Objectives: what a GAN learns. No method, no optimizer and no Lightning in here."""
