"""Talk to nodes without trusting them: read with proofs, send transactions, show faults.

Begin with `light_client.py`.
"""
