"""Finished runs: loading, sampling, translating, exporting."""
