"""The service: what is live, over HTTP; it never trains."""
