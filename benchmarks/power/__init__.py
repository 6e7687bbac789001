"""Power losses and kills: a file system that forgets what was not synced, and a writer to be interrupted."""
