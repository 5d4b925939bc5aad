"""What every other package shares: bytes, keys, signatures, the VRF, seeded randomness, errors.

Nothing here knows what a feed, a chain or a hoster is. Read `errors.py` first, then `codec.py`.
"""
