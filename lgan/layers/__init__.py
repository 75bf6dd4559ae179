"""Task-aware layers, and the conversion of plain networks to them.

- `protocol`, `generator`: what every such layer and every converted generator can do.
- `per_task`: conversions whose layers hold tensors of each task; fine-tuning's is there. Others are
  `filter_bank` with `execution` (Piggyback GAN) and `binary_mask` (Piggyback).
- `masks`, `masked`, `growing`: DGM's masks, its layers, the generator and how much it grows.
- `lateral`: progressive networks' columns.
"""
