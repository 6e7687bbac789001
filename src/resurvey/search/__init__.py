"""Finding documents: encoders, vector segments, the store, retrievers that compose, recipes that rebuild them."""
