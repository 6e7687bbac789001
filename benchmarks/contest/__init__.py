"""What `quality.py`, `ablation.py` and `identifiers.py` measure: collections, peers, ours, scores and tables."""
