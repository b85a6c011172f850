"""The PyTorch sides of the benchmarks; their workers run in an environment of their own."""
