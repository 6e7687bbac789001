"""The command line: parse, one library call, print. Every command has --json; errors name the next command."""

from resurvey.cli import demo, bring, change, improve, ask, service, look  # noqa: F401, I001  registered in the order of the story
from resurvey.cli.app import app, main

__all__ = ["app", "main"]
