"""A trained network's weights into the package: the `.keras` file, the `.tflite` files, their checksums.

python -m flpn_tf.convert.ship MODEL.keras PRESET --calibrate DATA [--evaluate DATA --gate POINTS]

They go where the package lies: in a clone into training/weights and android_demo_assets. The goldens
(`python -m flpn_tf.convert.golden`) and the tables (`make table`) are to be made anew then.
"""

import argparse
import sys

from flpn_tf.errors import GateError, InputError
from flpn_tf.frameworks import needs_tensorflow


def main() -> None:
    """The command; parsing only."""
    parser = argparse.ArgumentParser(
        prog="python -m flpn_tf.convert.ship", description=__doc__.splitlines()[0]
    )
    parser.add_argument("model", metavar="MODEL.keras")
    parser.add_argument("preset", metavar="PRESET", help="name or alias; its files, if any, are replaced")
    parser.add_argument("--calibrate", required=True, metavar="DATA", help="200 people, for int8's ranges")
    parser.add_argument("--evaluate", metavar="DATA", help="where no file may lose more than the gate")
    parser.add_argument("--gate", type=float, metavar="POINTS", help="of AP or PCK; default 1")
    given = parser.parse_args()
    try:
        needs_tensorflow(as_backend=True)
        from flpn_tf.convert.shipped_files import ship

        print(*ship(given.model, given.preset, given.calibrate, given.evaluate, given.gate), sep="\n")
    except (InputError, GateError, OSError) as error:
        print(f"flpn: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", InputError.exit_code))


if __name__ == "__main__":
    main()
