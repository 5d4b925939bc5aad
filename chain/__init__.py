"""The sequencing chain: what a block does, how validators agree, who runs it and who asks it.

Read `messages.py` for what can be asked of it, `transition.py` for what a block does, and one
file in `rules/` per kind of transaction. `challenges/` is the life of a challenge, from the draw
to what is paid. Around this core: `consensus/` agrees on blocks, `node/` runs all of it, `sync/`
catches up, and `client/` reads without trust and sends transactions.
"""
