"""Many requests at an exported model, by several clients at once.

Exports it, starts the gRPC server of the tests with and without batching, each twice in turns, and sends
requests of one box, first a quarter of them to warm up. Each answer is compared with that of the first
request for the same photo and box, asked alone. Prints what was lost or wrong, latencies, throughput and
the server's memory, which may grow by 5 % from the middle of a turn to its end.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from flpn_tf import RemoteEstimator
from flpn_tf.convert.serving.export import export
from flpn_tf.errors import InputError, RemoteError
from flpn_tf.models.load import load_network

SERVER = Path(__file__).resolve().parents[1] / "tests" / "serving" / "prediction_server.py"
GROWTH = 1.05  # of memory, from the middle to the end
NEAR = 0.1  # pixels; sums in batches of other sizes differ in the last bits


def people(data: Path, count: int) -> list[tuple[bytes, list]]:
    """Contents of photos and one box in each."""
    content = json.loads((data / "annotations.json").read_text())
    boxes = {person["image_id"]: person["bbox"] for person in content["annotations"]}
    images = [image for image in content["images"] if image["id"] in boxes][:count]
    return [((data / "images" / i["file_name"]).read_bytes(), boxes[i["id"]]) for i in images]


def resident(pid: int) -> float:
    """MiB of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def load(url: str, pid: int, asked: list, expected: list, requests: int, clients: int) -> dict:
    """Sends the requests; every tenth of them the memory is read."""
    numbers, lock = iter(range(requests)), threading.Lock()
    seconds, memory, lost, wrong = [], [], [], []

    def client():
        with RemoteEstimator(url, deadline=60) as remote:
            while True:
                with lock:
                    number = next(numbers, None)
                    if number is not None and number % max(requests // 10, 1) == 0:
                        memory.append(resident(pid))
                if number is None:
                    return
                photo, box = asked[number % len(asked)]
                start = time.perf_counter()
                try:
                    found = remote.estimate(photo, [box]).keypoints
                except (InputError, RemoteError) as error:
                    lost.append(str(error))
                    continue
                seconds.append(time.perf_counter() - start)
                if np.abs(found - expected[number % len(asked)]).max() > NEAR:
                    wrong.append(number)

    start = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - start
    memory.append(resident(pid))
    if not seconds:
        raise RemoteError(f"all {requests} requests were lost, the first with: {lost[0]}")
    milliseconds = np.array(seconds) * 1e3
    return {
        "lost": lost,
        "wrong": wrong,
        "p50_ms": float(np.quantile(milliseconds, 0.5)),
        "p99_ms": float(np.quantile(milliseconds, 0.99)),
        "a_second": len(seconds) / taken,
        "memory_mib": memory,
    }


def turn(folder: Path, batching: bool, asked: list, requests: int, clients: int) -> dict:
    """Starts a server, warms it up, and gives what `load` found."""
    options = ["--batching"] if batching else []
    server = subprocess.Popen([sys.executable, SERVER, folder, *options], stdout=subprocess.PIPE, text=True)
    try:
        url = f"grpc://127.0.0.1:{int(server.stdout.readline())}/flpn"
        with RemoteEstimator(url, deadline=60) as remote:
            expected = [remote.estimate(photo, [box]).keypoints for photo, box in asked]
        load(url, server.pid, asked, expected, requests // 4, clients)
        return load(url, server.pid, asked, expected, requests, clients)
    finally:
        server.terminate()
        server.wait()


def main() -> int:
    """Prints a line a turn and the ratio; 1 where an answer was lost or wrong, or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path, help=".keras")
    parser.add_argument("data", type=Path, help="COCO-format data set")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    given = parser.parse_args()
    asked, bad, rates = people(given.data, 40), 0, {"plain": [], "batching": []}
    with tempfile.TemporaryDirectory() as folder:
        exported = export(load_network(given.model), Path(folder) / "flpn").parent
        for number in (1, 2):
            for kind in rates:
                found = turn(exported, kind == "batching", asked, given.requests, given.clients)
                bad += len(found["lost"]) + len(found["wrong"])
                rates[kind].append(found["a_second"])
                first, *_, last = memory = found["memory_mib"]
                middle = memory[len(memory) // 2]
                bad += last > GROWTH * middle
                print(
                    f"{kind} {number}: lost {len(found['lost'])}, wrong {len(found['wrong'])} of "
                    f"{given.requests}; p50 {found['p50_ms']:.0f} ms, p99 {found['p99_ms']:.0f} ms, "
                    f"{found['a_second']:.1f} a second; server {first:.0f} MiB at first, {middle:.0f} "
                    f"in the middle, {last:.0f} at last, {max(memory):.0f} at most"
                    f"{'; it grows' if last > GROWTH * middle else ''}",
                    *found["lost"][:3],
                    sep="\n  lost: ",
                    flush=True,
                )
    ratio = statistics.mean(rates["batching"]) / statistics.mean(rates["plain"])
    pairs = ", ".join(f"{b / p:.2f}" for b, p in zip(rates["batching"], rates["plain"], strict=True))
    print(f"batching / plain, requests a second: {ratio:.2f} ({pairs})")
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (InputError, RemoteError) as error:
        sys.exit(f"serving_load: {error}")
