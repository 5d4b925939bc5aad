"""Ten strangers toss one coin that none of them can bend: a recoverable commit-reveal.

Read `flip.py` first: the protocol, one party's view of it. `opening.py` is what the chain
checks of it, `session.py` plays it over a network.
"""
