"""Is this machine fit to run Resurvey: what is installed, what is missing, how to get it, how fast it embeds."""
