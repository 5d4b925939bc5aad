"""Faults put into the code on purpose, one at a time: tests that do not notice test nothing.

`make mutants`, or `python -m tests.mutants [LIST ...]`. A list is a module here: what it mutates,
and the tests that must notice.
"""
