"""Measurements against a limit or a peer of the same run; `python -m benchmarks --list`.

Not tests: nothing here asserts a time. Each figure says what it is compared with and whether
its bar holds.
"""
