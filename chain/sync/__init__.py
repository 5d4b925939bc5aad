"""Begin, catch up and look back: runs of final blocks, snapshots, and execution once more."""
