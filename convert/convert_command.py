"""What `flpn convert` does."""

from flpn_tf.convert.tflite import CALIBRATION_CROPS, INTEGER_FORMATS, check_format, convert_file
from flpn_tf.data.crops import sample_crops
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.models.load import load_network
from flpn_tf.runtime.files import check_writable


def run(model, out, to="float16", calibrate=None) -> None:
    """Converts a `.keras` file.

    Args:
        model: the `.keras` file.
        out: the `.tflite` to write, whole or not at all.
        to: one of the formats of `flpn_tf.convert.tflite.convert`.
        calibrate: data-set folder for the integer formats.

    Raises:
        InputError: bad model, data, format or output path.
    """
    check_format(to)
    if to in INTEGER_FORMATS and calibrate is None:
        raise InputError(
            f"{to} needs {CALIBRATION_CROPS} calibration crops; give a data set with --calibrate"
        )
    check_writable(out, (".tflite",))
    network = load_network(model)
    crops = None
    if to in INTEGER_FORMATS:
        records = read_people(calibrate).records
        crops = sample_crops(records, CALIBRATION_CROPS, *network.image_size, network.pose_spec().padding)
    print(convert_file(network, to, out, crops))
