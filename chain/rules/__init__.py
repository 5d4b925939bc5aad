"""One file per kind of transaction, one function in each: `apply`.

It checks first and writes last, on a draft that is thrown away when it raises `Rejected`.
Rules never walk a whole table and know no clock, float, set order or `hash()`.
"""
