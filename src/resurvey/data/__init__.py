"""What you bring: read at one edge, validated whole, split without leaks, cut by the encoder's tokenizer."""
