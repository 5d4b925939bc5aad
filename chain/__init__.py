"""The sequencing chain: ledger, block production, node, API and the client that verifies them.

Read `messages.py` for what can be asked of it, `transition.py` for what a block does, and one
file in `rules/` per kind of transaction. `node.py` runs it, `client.py` reads it, and
`wallet_client.py` sends transactions.
"""
