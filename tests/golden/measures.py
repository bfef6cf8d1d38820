"""Golden values of what `eval` measures, by scikit-learn.

    python -m venv .venv
    .venv/bin/pip install numpy scikit-learn
    .venv/bin/python tests/golden/measures.py

Writes measures.json beside this script (made with scikit-learn 1.9.1). Of seven classes, one has no
image and is never predicted, one has images and is never predicted, one is predicted and has none.
The calibration error is not scikit-learn's, which has none; it is restated from Guo et al., 2017.
"""

import json
import pathlib

import numpy as np
from sklearn import metrics

CLASSES, SAMPLES, BINS = 7, 60, 15
rng = np.random.default_rng(7)
labels = rng.choice([0, 1, 2, 3, 5], SAMPLES)
logits = rng.normal(size=(SAMPLES, CLASSES)) * 2
logits[np.arange(SAMPLES), labels] += 2
logits[:, [5, 6]] -= 20
probabilities = np.exp(logits)
probabilities /= probabilities.sum(1, keepdims=True)
predicted = probabilities.argmax(1)
assert set(predicted) == {0, 1, 2, 3, 4}

everything = list(range(CLASSES))
occurring = sorted(set(labels) | set(predicted))
precision, recall, f1, samples = metrics.precision_recall_fscore_support(
    labels, predicted, labels=everything, zero_division=0
)
means = metrics.precision_recall_fscore_support(
    labels, predicted, labels=occurring, average="macro", zero_division=0
)
confidence = probabilities.max(1)
error = 0.0
for at in range(BINS):
    inside = (confidence > at / BINS) & (confidence <= (at + 1) / BINS)
    if inside.any():
        right = (predicted == labels)[inside].mean()
        error += inside.mean() * abs(right - confidence[inside].mean())

golden = {
    "classes": CLASSES,
    "labels": labels.tolist(),
    "probabilities": probabilities.tolist(),
    "means": {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "top5_accuracy": metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=everything),
        "loss": metrics.log_loss(labels, probabilities, labels=everything),
        "precision": means[0],
        "recall": means[1],
        "f1": means[2],
        "calibration_error": error,
    },
    "of_classes": {
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "samples": samples.tolist(),
    },
    "confusion": metrics.confusion_matrix(labels, predicted, labels=everything).tolist(),
}
path = pathlib.Path(__file__).with_name("measures.json")
path.write_text(json.dumps(golden) + "\n")
