"""The hoster: takes contracts from the chain, fetches their feeds, serves them to anyone.

`receipts.py` decides when to sign for what was served (pure); `service.py` is the daemon.
Read `service.py` first.
"""
