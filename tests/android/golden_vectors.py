"""Reads the shipped golden vectors by what their README says, not by the code that wrote them."""

import json
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[2] / "android_demo_assets" / "golden"
INDEX = json.loads((GOLDEN / "index.json").read_text())
CASES = {case["name"]: case for case in INDEX["cases"]}
SPECS = {model["spec"]["name"]: model["spec"] for model in INDEX["models"]}


def values(file: str, *shape: int) -> np.ndarray:
    ending = file.rsplit(".", 1)[1]
    dtype = np.dtype("uint8" if ending == "rgb" else ending).newbyteorder("<")
    return np.frombuffer((GOLDEN / file).read_bytes(), dtype).reshape(shape)


def picture(case: dict) -> np.ndarray:
    (found,) = [entry for entry in INDEX["pictures"] if entry["file"] == case["picture"]]
    return values(found["file"], found["height"], found["width"], 3)


def crop(case: dict) -> np.ndarray:
    size = SPECS[case["model"]]["input"]
    return values(case["crop"], size["height"], size["width"], 3)


def output(case: dict) -> np.ndarray:
    spec = SPECS[case["model"]]
    size = spec["output"]
    return values(case["output"], size["height"], size["width"], len(spec["skeleton"]["names"]))
