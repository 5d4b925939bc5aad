"""Check an exported availability report in ten lines, with no network.

python examples/verify_offline.py report.holdfast
"""

import sys
from pathlib import Path

from chain.bundle import MAX_BUNDLE_BYTES, Bundle, check_bundle
from wire.codec import decode
from wire.zbase32 import encode

checked = check_bundle(decode(Bundle, Path(sys.argv[1]).read_bytes(), MAX_BUNDLE_BYTES))
print(f"network {checked.network.hex()}, final at height {checked.height}")
for verdict in checked.verdicts:
    print(f"{encode(verdict.hoster)[:12]}  {verdict.verdict:8}  {verdict.score_ppm / 10_000:.2f} %")
