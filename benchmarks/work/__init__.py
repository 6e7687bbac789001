"""What `benchmarks/speed.py` times: one module a kind of work."""
