"""The networks that `flpn pose` uses, opened as its options say."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flpn_tf.errors import InputError
from flpn_tf.presets import DEFAULT_MODEL, resolve_model
from flpn_tf.runtime.detectors import Detector, open_detector
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.runtime.native_stderr import discard_native_stderr
from flpn_tf.runtime.poses import Poses
from flpn_tf.runtime.remote.estimator import RemoteEstimator, is_url

MAX_THREADS = 64


@dataclass(frozen=True)
class OpenedModels:
    """What estimates poses, as `PoseEstimator.estimate`, under which name, and what finds people.

    A server gets photo files as they are: `takes_files`.
    """

    name: str
    estimate: Callable[..., Poses]
    detect: Detector | None
    takes_files: bool


@dataclass(frozen=True)
class PoseSettings:
    """A model and a detector.

    Attributes:
        model: path, preset, alias, or a URL as `RemoteEstimator` takes it.
        decode: rule in place of the model's own.
        flip: average with the mirrored crop.
        threads: for the runtimes of the model and the detector.
        detector: file that finds the people, as `open_detector` takes it.
        detector_layout, detector_score, detector_class: its ``layout``, ``min_score`` and ``person``.
    """

    model: str = DEFAULT_MODEL
    decode: str | None = None
    flip: bool = False
    threads: int = 1
    detector: Path | None = None
    detector_layout: str | None = None
    detector_score: float | None = None
    detector_class: int | None = None

    @property
    def files(self) -> list[Path]:
        """What is read; refuses settings that do not go together, before anything is opened."""
        if not 1 <= self.threads <= MAX_THREADS:
            raise InputError(f"--threads must be 1 to {MAX_THREADS}. Received: {self.threads}")
        remote = is_url(self.model)
        if remote and (self.flip or self.decode is not None):
            raise InputError("--flip and --decode are the server's, set by `flpn export`; leave them out")
        if self.detector is None and self._of_detector():
            raise InputError(
                "--detector-layout, --detector-score and --detector-class are for a --detector. "
                f"Received: {', '.join(map(str, self._of_detector().values()))}"
            )
        detectors = [] if self.detector is None else [self.detector]
        return detectors if remote else [*detectors, resolve_model(self.model)]

    def open(self) -> OpenedModels:
        """Opens them.

        Raises:
            InputError: one of them cannot be used.
        """
        with discard_native_stderr():
            detect = None
            if self.detector is not None:
                detect = open_detector(self.detector, threads=self.threads, **self._of_detector())
            if is_url(self.model):
                server = RemoteEstimator(self.model)
                return OpenedModels(server.name, server.estimate, detect, takes_files=True)
            local = PoseEstimator(self.model, threads=self.threads, decode=self.decode)
            estimate = functools.partial(local.estimate, flip_test=self.flip)
            return OpenedModels(local.name, estimate, detect, takes_files=False)

    def _of_detector(self) -> dict:
        given = {
            "layout": self.detector_layout,
            "min_score": self.detector_score,
            "person": self.detector_class,
        }
        return {name: value for name, value in given.items() if value is not None}
