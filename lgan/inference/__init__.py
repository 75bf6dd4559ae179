"""Finished runs at work: their networks, images, translations, and files for others."""
