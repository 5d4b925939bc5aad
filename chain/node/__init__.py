"""Programs that run a chain: validators, followers, and the API that both serve.

Begin with `reading_node.py`, what every node does with final blocks.
"""
