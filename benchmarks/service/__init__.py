"""Parts of the service's benchmark: a corpus of a size, a plain peer, a load."""
