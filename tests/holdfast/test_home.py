"""What a home knows of its own past: whether its seed may have voted elsewhere."""

import shutil
from pathlib import Path

from chain.consensus.vote_store import VoteStore
from holdfast.home import Home
from tests.people import genesis


def is_in_doubt(home: Home) -> bool:
    """Whether its validator asks the others before its first vote."""
    agreed = genesis()
    home.write_genesis(agreed)
    store, remembered = VoteStore.open(home.votes, agreed.network, 0)
    store.close()
    return remembered.fresh


def test_a_seed_made_here_has_never_voted_and_one_from_a_backup_may_have(tmp_path: Path) -> None:
    new, restored = Home(tmp_path / "new"), Home(tmp_path / "restored")
    assert new.create()
    restored.path.mkdir()
    shutil.copy(new.path / "seed", restored.path)
    assert not restored.create()
    assert not is_in_doubt(new)
    assert is_in_doubt(restored)
