"""Golden values of the scores of sources, restated from their papers with numpy.

    python -m venv .venv
    .venv/bin/pip install numpy
    .venv/bin/python tests/golden/transferability.py

Writes transferability.json beside this script. LogME by the matrices of its equations (You et al.,
2021), with the 1e-5 of the authors' code; the H-score by covariances and a pseudo-inverse (Bao et al.,
2019); LEEP by its three steps (Nguyen et al., 2020). Not by singular values, as the crate does.
"""

import json
import pathlib

import numpy as np


def log_me(f, labels):
    n, d = f.shape
    evidences = []
    for k in np.unique(labels):
        y = (labels == k).astype(float)
        alpha = beta = 1.0
        for _ in range(100):
            a = alpha * np.eye(d) + beta * f.T @ f
            m = beta * np.linalg.solve(a, f.T @ y)
            gamma = np.trace(beta * f.T @ f @ np.linalg.inv(a))
            weights, errors = m @ m, ((f @ m - y) ** 2).sum()
            before = alpha / beta
            alpha, beta = gamma / (weights + 1e-5), (n - gamma) / (errors + 1e-5)
            a = alpha * np.eye(d) + beta * f.T @ f
            evidence = (
                d / 2 * np.log(alpha) + n / 2 * np.log(beta) - np.linalg.slogdet(a)[1] / 2
                - beta / 2 * errors - alpha / 2 * weights - n / 2 * np.log(2 * np.pi)
            )
            if abs(alpha / beta / before - 1) <= 1e-6:
                break
        evidences.append(evidence / n)
    return np.mean(evidences)


def h_score(f, labels):
    means = np.stack([f[labels == label].mean(0) for label in labels])
    return np.trace(np.linalg.pinv(np.cov(f.T), rcond=1e-12) @ np.cov(means.T))


def leep(p, labels):
    joint = np.stack([p[labels == k].sum(0) for k in range(labels.max() + 1)]) / len(p)
    conditional = joint / joint.sum(0)
    return np.mean([np.log(conditional[label] @ row) for label, row in zip(labels, p)])


rng = np.random.default_rng(3)
cases = []
for n, d, z in [(40, 6, 5), (12, 20, 3)]:
    labels = np.arange(n) % 3
    features = rng.normal(size=(n, d)) + 0.5
    features[np.arange(n), labels] += 1.5
    logits = rng.normal(size=(n, z))
    logits[np.arange(n), labels] += 1
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    cases.append({
        "features": features.tolist(),
        "labels": labels.tolist(),
        "probabilities": p.tolist(),
        "log_me": log_me(features, labels),
        "h_score": h_score(features, labels),
        "leep": leep(p, labels),
    })
path = pathlib.Path(__file__).with_name("transferability.json")
path.write_text(json.dumps(cases) + "\n")
print([{k: case[k] for k in ["log_me", "h_score", "leep"]} for case in cases])
