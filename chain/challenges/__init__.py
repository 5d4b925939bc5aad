"""The life of a challenge on the chain: drawn, judged, settled, and what follows from it.

Begin with `lottery.py`, then `judging.py` and `settlement.py`. All of it is pure.
"""
