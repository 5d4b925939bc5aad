"""The attestor: follows the chain, flips coins, visits hosters unannounced, reports.

`visit.py` turns what was seen into figures and evidence (pure), `session.py` makes one visit,
`service.py` is the daemon, `store.py` what it must not forget. Read `service.py` first.
"""
