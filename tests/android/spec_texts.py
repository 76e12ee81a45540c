"""Texts of specs: good ones, and all ways of being bad."""

import json

import library_cases

TALL = library_cases.spec(library_cases.SIZES[0])


def changed(path: str, value) -> str:
    """The text of a good spec with one field another."""
    values = TALL.to_dict()
    *sections, key = path.split(".")
    inner = values
    for section in sections:
        inner = inner[section]
    inner[key] = value
    return json.dumps(values)


def without(path: str) -> str:
    values = TALL.to_dict()
    *sections, key = path.split(".")
    inner = values
    for section in sections:
        inner = inner[section]
    del inner[key]
    return json.dumps(values)


GOOD = TALL.to_json()
# Text → what the message has to say. All of them are refused by the Python reader too.
REFUSED = {
    "nothing": ("", "the end of the text"),
    "truncated": (GOOD[: len(GOOD) // 2], "not json"),
    "two values": (GOOD + "{}", "not json"),
    "a comma too many": (GOOD.rstrip()[:-1] + ",}", "not json"),
    "no quotes": ("{spec_version: 1}", "not json"),
    "NaN": (GOOD.replace("1.25", "NaN"), "not json"),
    "infinite": (GOOD.replace("1.25", "1e999"), ""),
    "deep": ("[" * 9999, "not json"),
    "a list": ("[1]", "must be a json object"),
    "null": ("null", "must be a json object"),
    "version 2": (changed("spec_version", 2), "reads spec_version 1"),
    "version true": (changed("spec_version", True), "reads spec_version 1"),
    "version 1.0": (GOOD.replace('"spec_version": 1,', '"spec_version": 1.0,'), "reads spec_version 1"),
    "version text": (changed("spec_version", "1"), 'Received: "1"'),
    "no version": (without("spec_version"), "reads spec_version 1"),
    "no height": (without("input.height"), "input.height"),
    "no skeleton": (without("skeleton"), "skeleton"),
    "no sha": (without("weights_sha256"), "weights_sha256"),
    "height is text": (changed("input.height", "192"), "input.height"),
    "height is 0": (changed("input.height", 0), "input.height"),
    "height is true": (changed("input.height", True), "input.height"),
    "height is 192.0": (changed("input.height", 192.0), "input.height"),
    "swapped": (changed("input", TALL.to_dict()["input"] | {"height": 160, "width": 192}), "input.height"),
    "layout": (changed("input.layout", "NCHW"), "input.layout"),
    "colour": (changed("input.color", "BGR"), "input.color"),
    "input type": (changed("input.dtype", "int8"), "input.dtype"),
    "range": (changed("input.range", [0, 1]), "input.range"),
    "not normalised": (changed("input.normalised_inside", False), "input.normalised_inside"),
    "mean": (changed("input.mean", [0, 0]), "input.mean"),
    "std": (changed("input.std", [1, 1, 0]), "input.std"),
    "aspect": (changed("crop.aspect", 1.0), "crop.aspect"),
    "padding": (changed("crop.padding", 0), "crop.padding"),
    "padding null": (changed("crop.padding", None), "crop.padding"),
    "border": (changed("crop.border", 0.0), "crop.border"),
    "scale": (changed("output.scale", -1.0), "output.scale"),
    "zero point": (changed("output.zero_point", 0.5), "output.zero_point"),
    "output height": (changed("output.height", 47), "input.height"),
    "rule": (changed("decode.rule", "softmax"), "decode.rule"),
    "stride": (changed("decode.stride", 0), "decode.stride"),
    "sigma": (changed("decode.sigma", 0.01), "decode.sigma"),
    "sha": (changed("weights_sha256", "abc"), "weights_sha256"),
    "section is a list": (changed("decode", []), "decode"),
    "unknown field": (changed("hint", 1), "hint"),
    "unknown inner field": (changed("crop.hint", 1), "crop.hint"),
    "dotted field": (GOOD[:1] + '"a.b": 1,' + GOOD[1:], "a.b"),
    "names twice": (changed("skeleton.names", ["a"] * 7), "skeleton.names"),
    "sigmas too few": (changed("skeleton.sigmas", [0.1]), "skeleton.sigmas"),
    "limb outside": (changed("skeleton.limbs", [[0, 7]]), "skeleton.limbs"),
    "limb of one": (changed("skeleton.limbs", [[3, 3]]), "skeleton.limbs"),
    "limb of a huge joint": (changed("skeleton.limbs", [[0, 4294967296]]), "skeleton.limbs"),
    "pair twice": (changed("skeleton.flip_pairs", [[1, 2], [2, 3]]), "skeleton.flip_pairs"),
}
# Refused here, though it is a good spec: this library cannot serve it.
NOT_SERVED = {"int16": (changed("output.dtype", "int16"), "output.dtype must be one of")}
ACCEPTED = {
    "plain": GOOD,
    "compact": json.dumps(TALL.to_dict(), separators=(",", ":")),
    "escaped": changed("name", 'quote " backslash \\ slash / tab \t snowman \u2603 flag \U0001f3c1'),
    "without sha": changed("weights_sha256", None),
    "with sha": changed("weights_sha256", "0123456789abcdef" * 4),
    "no limbs": changed("skeleton.limbs", []),
    "exponent": GOOD.replace("1.25", "12.5E-1"),
    "padding is whole": changed("crop.padding", 1),
}
