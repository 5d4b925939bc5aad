"""The front door: the `holdfast` command, settings, logging, and the demo network.

Everything here is shell. Read `cli.py` for what all commands share, `commands/` for each of them,
and `demo.py` for a whole network.
"""

__version__ = "0.1.0"
