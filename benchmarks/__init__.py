"""Benchmarks, one table a file; the PyTorch sides apart in `pytorch/`."""
