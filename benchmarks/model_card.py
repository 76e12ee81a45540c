"""The tables of docs/model_card.md: a model on both evaluation sets, flip and decoders beside each other.

python benchmarks/model_card.py MODEL COCO_FORMAT_FOLDER LSP_FOLDER
"""

import sys

from flpn_tf.codec import DECODE_RULES
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.evaluation.summary import number

COLUMNS = {
    "coco": ("AP", "AP50", "AP75", "APM", "APL", "AR"),
    "lsp": ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean", "Mean@0.1"),
}


def row(cells) -> str:
    return f"| {' | '.join(cells)} |"


def main(model: str, *folders: str) -> None:
    for (dataset, columns), folder in zip(COLUMNS.items(), folders, strict=True):
        print(f"\n{model}, {dataset}\n")
        print(row(("flip", "decode", *columns)))
        print("|---" * (2 + len(columns)) + "|")
        for flip in (False, True):
            for rule in DECODE_RULES:
                found = evaluate(model, folder, dataset=dataset, flip_test=flip, decode=rule)
                values = [number(found.result["metrics"][name]) for name in columns]
                print(row(("on" if flip else "off", rule, *values)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
