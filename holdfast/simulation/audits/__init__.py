"""Whole networks of attestors and hosters in virtual time, on the real rules.

`ledger.py` is the real state and its blocks, `founding.py` who is there at first, `hosters.py`
and `attestors.py` how they behave, `arena.py` one round after another, `figures.py` what it came
to. The scenarios of `holdfast simulate` are in `scenarios.py`. Left out are signatures, sockets
and the tree over the state; drawn, planned, judged, paid and slashed is by the chain's functions.
"""
