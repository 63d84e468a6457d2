"""Runs an exported model from the command line; see :mod:`.command`."""

from .command import main

main()
