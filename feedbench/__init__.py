"""Data-loading benchmarks for people who train image models from scratch."""
