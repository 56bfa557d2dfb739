"""Benchmarks, each a command of ``scripts/bench``; README.md lists them."""
