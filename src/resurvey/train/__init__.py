"""How weights learn: what is asked of them, batch by batch, and how far to go. Knows nothing about workspaces."""
