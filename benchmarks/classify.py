"""How well two kinds of sessions can be told apart by what was seen of them."""

import sys
from collections.abc import Sequence

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 1
FOLDS = 10
SHOWN = 8


def auc(values: Sequence[Sequence[float]], truth: Sequence[bool]) -> dict[str, float]:
    """The area under the curve of each classifier, asked about sessions it did not learn from."""
    classifiers = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2_000)),
        "boosting": HistGradientBoostingClassifier(max_iter=100, max_depth=4, random_state=SEED),
    }
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    found = {}
    for name, classifier in classifiers.items():
        guesses = cross_val_predict(classifier, values, truth, cv=folds, method="predict_proba")
        found[name] = float(roc_auc_score(truth, guesses[:, 1]))
    return found


def show(names: Sequence[str], values: Sequence[Sequence[float]], truth: Sequence[bool]) -> None:
    """Print which numbers tell most by themselves, and their medians on both sides."""
    singly = {}
    for place, name in enumerate(names):
        alone = roc_auc_score(truth, [row[place] for row in values])
        singly[max(alone, 1 - alone), name] = place
    for (area, name), place in sorted(singly.items(), reverse=True)[:SHOWN]:
        sides = [
            sorted(row[place] for row, t in zip(values, truth, strict=True) if t is side)
            for side in (True, False)
        ]
        medians = " ".join(f"{side[len(side) // 2]:.4f}" for side in sides)
        print(f"    {name} {area:.3f}: {medians}", file=sys.stderr)
