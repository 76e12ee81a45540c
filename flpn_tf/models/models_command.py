"""What `flpn models` does."""

import json

from flpn_tf.models.catalogue import build_rows, render
from flpn_tf.runtime import files


def run_models(json_out=None):
    """Builds every network of the catalogue and prints their sizes beside the papers'.

    Args:
        json_out: None prints a table; else the rows of `build_rows` go as a json list to that file,
            or to standard output for "-".

    Raises:
        InputError: the file cannot be written; found before anything is built.
    """
    files.check_json_output(json_out)
    rows = build_rows()
    if json_out is None:
        print(render(rows))
    else:
        files.write_json(json_out, json.dumps(rows, indent=1) + "\n")
