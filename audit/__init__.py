"""What attestor and hoster say to each other, and what the chain makes of it.

An attestor's plan follows from the coin and its own VRF (`plan.py`); a hoster signs what it
serves (`receipts.py`); the attestor's report and evidence (`messages.py`) are judged by
anyone (`evidence.py`). Read `messages.py` first.
"""
