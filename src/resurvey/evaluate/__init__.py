"""How good is it: trec_eval's measures per query, paired comparisons with intervals, slices."""
