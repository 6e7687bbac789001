"""What to do about it: one table of rules over measurements, giving an ordered plan."""
