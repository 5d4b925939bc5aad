"""The owner: publishes feeds, pays for their hosting, reads and exports what comes of it.

Everything is in `service.py`; an exported report is judged by `chain.bundle`, which needs no
network and no owner.
"""
