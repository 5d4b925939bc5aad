"""Whole flips in one process, with seeded time, a bad network and named adversaries.

`world.py` is time, network and crashes; `table.py` a flip inside it, with what must always
hold; `adversaries.py` who breaks which rule. The scenarios of `holdfast simulate` are
`rushing.py`, `abort.py` and `copying.py`; what they attack first is `source.py`.
"""
