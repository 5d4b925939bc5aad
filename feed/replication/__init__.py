"""Reading a feed from peers, and serving it to them: Hypercore's replication channel.

Begin with `core.py`, one feed on one connection without I/O, and `session.py`, the shell around it.
"""
