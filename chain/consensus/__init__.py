"""How validators agree on the next block. They see the ledger through `port.py` alone, so
another engine can drive the same ledger. `solo.py` is the engine of a single validator.
"""
