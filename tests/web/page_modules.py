"""Calls the page's modules under node (run_maths.mjs), for tests that compare them with Python's."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("run_maths.mjs")
NEEDS_NODE = pytest.mark.skipif(
    shutil.which("node") is None, reason="needs node, which runs the page's modules"
)


def call(cases, raw=False):
    """What the modules answer to [module, function, *arguments]; `raw` keeps errors."""
    process = subprocess.run(
        ["node", str(SCRIPT)], input=json.dumps(cases), capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 0, process.stderr
    answers = json.loads(process.stdout)
    if raw:
        return answers
    assert [a["error"] for a in answers if "error" in a] == []
    return [a["value"] for a in answers]


def call_one(*case):
    return call([list(case)])[0]


def points(keypoints):
    return [{"x": x, "y": y, "score": score} for x, y, score in np.asarray(keypoints, float).tolist()]


def array(keypoints):
    return np.array([[point["x"], point["y"], point["score"]] for point in keypoints])


def boxes(rng, count):
    """Some half or far outside the picture, some thin."""
    return np.column_stack([rng.uniform(-300, 500, (count, 2)), np.exp(rng.uniform(-1, 6.5, (count, 2)))])
