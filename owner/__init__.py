"""The owner: publishes feeds, pays for their hosting, reads and checks what comes of it.

`service.py` publishes and serves until hosters have the feed; `bundle.py` judges an exported
availability report with no network. Read `service.py` first.
"""
