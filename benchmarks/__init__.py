"""Speed of lgan, measured on synthetic data: `python -m benchmarks.run [--quick]`."""
