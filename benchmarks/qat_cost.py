"""What quantisation-aware training costs beside plain training, by each backend: `make bench-qat`.

A process each for plain training of the shipped network, for its `qat=true` and for the twin tfmot trains.
They take turns on the same batches of DATA, so that the ratios of their steps hold on a busy machine; each
reports its own peak memory. Times to import and to build are of one run each.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from importlib import import_module
from itertools import islice
from pathlib import Path

import flpn_tf.training

MODEL = Path(flpn_tf.training.__file__).parent / "weights" / "flpn_mobile_people_192x160.keras"
VARIANTS = ("plain", "keras", "tfmot")
BATCH = 32
BATCHES = 4  # of DATA, again and again
WARM_UP, ROUNDS, STEPS = 2, 4, 3


def plain(network, batches):
    """The update of `flpn train`."""
    from flpn_tf.training.config import ScheduleConfig
    from flpn_tf.training.loss import HeatmapLoss
    from flpn_tf.training.optimizer import make_optimizer

    network.compile(make_optimizer(ScheduleConfig(), 1000, network), HeatmapLoss(), jit_compile=False)
    return network.train_on_batch


def keras(network, batches):
    """The update of `flpn train qat=true`."""
    return plain(network.with_qat(), batches)


def tfmot(network, batches):
    """The update of `flpn train qat=true --qat-backend tfmot`."""
    import tf_keras

    from flpn_tf.training.qat_tfmot import make_update
    from flpn_tf.training.tf_keras_twin import Twin
    from flpn_tf.training.tfmot_quantizers import quantised

    model = quantised(Twin(network), [crops for crops, _, _ in batches])
    model.optimizer = tf_keras.optimizers.Adam(1e-4)
    model.optimizer.build(model.trainable_variables)
    return make_update(model)


def work(variant: str, data: str) -> None:
    """A process of one variant: does STEPS steps for each line it reads, and answers with their seconds."""
    seconds = {}

    def timed(name, function):
        start = time.perf_counter()
        result = function()
        seconds[name] = time.perf_counter() - start
        return result

    timed("import keras, tensorflow", lambda: (import_module("keras"), import_module("tensorflow")))
    if variant == "tfmot":
        timed("import tf_keras, tfmot", lambda: import_module("flpn_tf.training.tfmot_quantizers"))
    from flpn_tf.data.pipeline import training_dataset
    from flpn_tf.data.sources import open_people
    from flpn_tf.models.load import load_network

    network = load_network(MODEL)
    people = open_people(data)
    samples = training_dataset(people, network.codec, network.image_size, BATCH)
    batches = [tuple(part.numpy() for part in batch) for batch in islice(samples, BATCHES)]
    update = timed("build", lambda: globals()[variant](network, batches))
    timed("first step", lambda: update(*batches[0]))
    for batch in (batches * WARM_UP)[:WARM_UP]:
        update(*batch)
    answer = {"seconds": seconds}
    while True:
        print(json.dumps(answer), flush=True)
        if not sys.stdin.readline():
            return
        steps = []
        for step in range(STEPS):
            start = time.perf_counter()
            float(update(*batches[step % BATCHES]))
            steps.append(time.perf_counter() - start)
        answer = {"steps": steps, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main(data: str) -> None:
    workers, answers = {}, {}
    steps = {name: [] for name in VARIANTS}
    for name in VARIANTS:  # one behind the other: what they measure first is undisturbed
        command = [sys.executable, __file__, data, "--worker", name]
        workers[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        answers[name] = answer(workers[name])["seconds"]
        print(f"{name} is ready", file=sys.stderr, flush=True)
    for turn in range(ROUNDS):
        for name, worker in workers.items():
            print(file=worker.stdin, flush=True)
            answers[name] |= (latest := answer(worker))
            steps[name] += latest["steps"]
        print(f"round {turn + 1} of {ROUNDS}", file=sys.stderr, flush=True)
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    medians = {name: statistics.median(values) for name, values in steps.items()}
    print(f"{MODEL.stem}, batch {BATCH}, {ROUNDS * STEPS} steps each, {os.cpu_count()} cores")
    rows = {
        "ms a step, median": {name: f"{1000 * median:.0f}" for name, median in medians.items()},
        "img/s": {name: f"{BATCH / median:.1f}" for name, median in medians.items()},
        "times plain's step": {name: f"{median / medians['plain']:.2f}" for name, median in medians.items()},
        "peak memory, MB": {name: f"{answers[name]['peak']:.0f}" for name in VARIANTS},
    }
    for part in ("import keras, tensorflow", "import tf_keras, tfmot", "build", "first step"):
        rows[f"{part}, s"] = {name: f"{answers[name].get(part, 0):.1f}" for name in VARIANTS}
    print(f"{'':28}" + "".join(f"{name:>10}" for name in VARIANTS))
    for label, values in rows.items():
        print(f"{label:28}" + "".join(f"{values[name]:>10}" for name in VARIANTS))


def answer(worker) -> dict:
    """The worker's next line.

    Raises:
        SystemExit: it has failed.
    """
    line = worker.stdout.readline()
    if not line:
        sys.exit("a worker has failed; its message is above")
    return json.loads(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", help="what `flpn train --data` takes")
    parser.add_argument("--worker", choices=VARIANTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker, given.data)
    else:
        main(given.data)
