"""Training: examples, synthetic queries."""
