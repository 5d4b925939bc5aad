"""Hypercore-compatible feeds: append-only logs, every chunk proven by the owner's signature.

Read `tree.py` first (what is hashed), then `manifest.py` and `signature.py` (who signs it),
`messages.py` (what travels) and `proof.py` (how one message convinces a peer that knows only
the feed's key).
"""
