# `make help` lists the targets. Every target does its own set-up first.
.DEFAULT_GOAL := help
.ONESHELL:
.SHELLFLAGS := -eu -c

MODEL ?= genre
# Models that `make up` serves, with a comma between them; the first is the default.
MODELS ?= $(MODEL)
# Empty: the version in the model's file; then upload_model replaces no other version.
VERSION ?=
# Hydra overrides for any target: make run_stress ARGS="clients=16 rounds=3"
ARGS ?=
# Where PyTorch's CPU wheels are, see README; empty: the default ones, with CUDA.
TORCH_INDEX ?=

RUN := .venv/bin/python
# The installed command, torchserve-gateway.
COMMAND := $(RUN) -m torchserve_gateway
# An end by Ctrl-C or SIGTERM is no error of make. Starts with exec, so that make's own SIGTERM arrives.
FOREGROUND := exec $(RUN) tools/foreground.py
# The same without our environment.
IN_FOREGROUND := exec $(or $(wildcard .venv/bin/python),python3) tools/foreground.py
COMMA := ,
EMPTY :=
SPACE := $(EMPTY) $(EMPTY)
SERVED = model=$(firstword $(subst $(COMMA), ,$(MODELS)))$(if $(findstring $(COMMA),$(MODELS)), 'gateway.models=[$(MODELS)]')
CHOICE = model=$(MODEL)$(if $(VERSION), 'model.version="$(VERSION)"')
SOURCES := $(wildcard *.py) torchserve_gateway ts_serialize clients examples tools docker docs/conf.py tests

# Every target of the list, none of which is a file.
.PHONY: $(shell sed -nE 's/^([a-z0-9_-]+):.*## .*/\1/p' $(MAKEFILE_LIST))

# The headings of the list in their order. A target belongs to the last heading before it.
##@ Start
##@ Your model
##@ Run
##@ Deploy and operate
##@ Measure
##@ Containers
##@ Examples and tutorials
##@ Develop

##@ Start
help: ## this list
	@awk -F ':.*## ' '/^##@ / { at = substr($$0, 5); if (!(at in lines)) { order[++n] = at; lines[at] = "" } } \
		/^[a-z0-9_-]+:.*## / { lines[at] = lines[at] sprintf("  %-23s%s\n", $$1, $$2) } \
		END { for (i = 1; i <= n; i++) printf("%s%s\n%s", (i > 1 ? "\n" : ""), order[i], lines[order[i]]) }' $(MAKEFILE_LIST)

install: .venv/.installed ## .venv with the pinned dependencies, a Java runtime included

RUNTIME := requirements.txt $(foreach part,gateway torchserve archiver local,requirements-$(part).txt)
.venv/.installed: $(RUNTIME) requirements.lock tools/install.sh
	@tools/install.sh requirements.txt $(TORCH_INDEX)
	touch $@

install_engines: .venv/.installed-engines ## OpenVINO, ONNX Runtime and their converters, see docs/engines.md

.venv/.installed-engines: .venv/.installed requirements-engines.txt requirements-conversion.txt
	@tools/install.sh requirements-engines.txt
	tools/install.sh requirements-conversion.txt
	touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.txt requirements-engines.txt requirements-conversion.txt
	@tools/install.sh requirements-dev.txt $(TORCH_INDEX)
	touch $@

# Posters and photographs, unless MODEL or MODELS names others.
DEMO := $(subst $(COMMA), ,$(if $(filter-out file,$(origin MODEL) $(origin MODELS)),$(MODELS),genre imagenet))
demo: MODEL = $(firstword $(DEMO))
demo: MODELS = $(subst $(SPACE),$(COMMA),$(strip $(DEMO)))
# Its weights come from a package.
IMAGENET := { [ -e weights/imagenet.pt ] || $(RUN) -m examples.imagenet.build model=imagenet; }
# Overrides of model.* are for the first model.
OTHER_ARGS = $(filter-out model.% 'model.% served_model.%,$(ARGS))

demo: install ## everything from nothing: posters and photographs through the gateway
	@$(COMMAND) up --keep-models $(SERVED) $(ARGS)
	$(if $(filter imagenet,$(MODEL)),$(IMAGENET))
	$(COMMAND) deploy $(CHOICE) if_another_serves=keep $(ARGS)
	for model in $(wordlist 2,$(words $(DEMO)),$(DEMO)); do
		[ $$model != imagenet ] || $(IMAGENET) || continue
		$(COMMAND) deploy model=$$model model.workers=1 if_another_serves=keep $(OTHER_ARGS)
	done
	$(COMMAND) demo $(SERVED) $(ARGS)

# KServe pins an older protobuf than ours, so its client has an environment of its own.
.venv-kserve/.installed: .venv/.installed tests/kserve-client.txt
	@$(RUN) -m venv .venv-kserve
	.venv-kserve/bin/pip install --quiet --disable-pip-version-check --no-input -r tests/kserve-client.txt
	touch $@

##@ Develop
.venv-docs/.installed: requirements-docs.txt
	@$${PYTHON:-$$(command -v python3.11 || command -v python3)} -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check --no-input -r requirements-docs.txt
	touch $@

# pytest rewrites each test module once and keeps it as bytecode.
unexport PYTHONDONTWRITEBYTECODE

# A file's tests share what they start, so they stay together. Four on two cores, since half their time is waiting;
# those of `check` wait little.
PYTEST := $(RUN) -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

# mypy needs one core, and much of a test's time is waiting. What mypy says comes last.
define TESTS_BESIDE_TYPES
@types=$$(mktemp)
$(TYPES) >"$$types" 2>&1 & mypy=$$!
trap 'kill $$mypy 2>/dev/null || :; rm -f "$$types"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
failed=0
$(PYTEST) $(1) $(PYTEST_ARGS) || failed=$$?
wait $$mypy || failed=$$?
cat "$$types"
exit $$failed
endef

check: style ## lint, types, unit tests and tests before a failing TorchServe, but the slow ones: for every commit
	$(call TESTS_BESIDE_TYPES,--numprocesses 3 -p no:schemathesis -m "not slow and not long" tests/unit tests/faults)

test: style .venv-kserve/.installed ## lint, types and all tests but the long ones
	$(call TESTS_BESIDE_TYPES,-m "not long")

test_all: style .venv-kserve/.installed ## lint, types and all tests: also attacks, training, replicas, parts that die or halt
	$(call TESTS_BESIDE_TYPES)

TYPES := $(RUN) -m mypy $(SOURCES)
lint: style ## ruff, mypy --strict and the directions of imports
	@$(TYPES)

# Seconds; lint without types.
.PHONY: style
style: .venv/.installed-dev
	@$(RUN) -m ruff check --quiet $(SOURCES)
	$(RUN) -m ruff format --check --quiet $(SOURCES)
	PYTHONPATH=clients/python .venv/bin/lint-imports --no-logo --no-cache

##@ Your model
download_weights: install ## checkpoint into weights/ from the configured URL, checksum verified
	@$(COMMAND) download-weights $(CHOICE) $(ARGS)

# The arguments of serve and new_model that were given.
ABOUT_MODEL = $(if $(NAME),--name '$(NAME)') $(if $(LABELS),--labels '$(LABELS)') $(if $(IMAGE),--image '$(IMAGE)') \
	$(if $(ARCHITECTURE),--architecture '$(ARCHITECTURE)') $(if $(SHA256),--sha256 '$(SHA256)') \
	$(if $(IMAGE_FILE),--image-file '$(IMAGE_FILE)') $(if $(FORCE),--force)

serve: install ## a classifier's file as an answering URL: WEIGHTS=model.pt LABELS=labels.txt [NAME= IMAGE=224 ...]
	@$(COMMAND) serve '$(WEIGHTS)' $(ABOUT_MODEL) $(ARGS)

new_model: install ## the same; describes a model first, and replaces no file (NAME=pets WEIGHTS=pets.pt LABELS=labels.txt)
	@$(COMMAND) new-model --weights '$(WEIGHTS)' $(ABOUT_MODEL) $(ARGS)

generate_mar: install ## archive into model_mars/, its checkpoint fetched first (MODEL=genre VERSION=1.0)
	@$(COMMAND) generate-mar $(CHOICE) $(ARGS)

##@ Measure
optimize: install ## the model on every engine and precision of this machine; WRITE=1 puts the best into its file
	@$(COMMAND) optimize model=$(MODEL) $(if $(WRITE),write=config/model/$(MODEL).yaml) $(ARGS)

TUNING = $(if $(P99_MS),p99_ms=$(P99_MS)) $(if $(BUDGET_S),budget_s=$(BUDGET_S)) $(if $(TRIALS),trials=$(TRIALS))
tune: install ## batching, workers and threads for the most images/s (MODEL=genre P99_MS=200 BUDGET_S=900 TRIALS=16 WRITE=1)
	@$(COMMAND) tune model=$(MODEL) $(TUNING) $(if $(WRITE),write=config/model/$(MODEL).yaml) $(ARGS)

##@ Examples and tutorials
train: install ## the demo checkpoint anew: draws posters, trains, evaluates
	@$(RUN) -m examples.genre.train $(ARGS)

evaluate: install ## the demo checkpoint's accuracy on posters it was not trained on
	@$(RUN) -m examples.genre.evaluate $(ARGS)

# Examples, see examples/README.md.
EXAMPLES := .venv/.installed-examples
$(EXAMPLES): .venv/.installed requirements-examples.txt
	@tools/install.sh requirements-examples.txt
	touch $@

test_tutorials: .venv/.installed-dev $(EXAMPLES) ## the tutorials that docs/tutorials.md lists, row by row
	@$(RUN) -m pytest tests/tutorials $(IN_ORDER) $(PYTEST_ARGS)

train_digits: $(EXAMPLES) ## the weights of examples/digits anew
	@$(RUN) -m examples.digits.train $(ARGS)

send_digits: $(EXAMPLES) ## sends held-out digits to the running model digits: Predicted, Actual, accuracy
	@$(RUN) -m examples.digits.send $(ARGS)

train_iris: $(EXAMPLES) ## the weights of examples/iris anew
	@$(RUN) -m examples.iris.train model=iris $(ARGS)

build_imagenet: install ## the weights of examples/imagenet, from a package, as TorchScript
	@$(RUN) -m examples.imagenet.build model=imagenet $(ARGS)

build_faces: install ## the detector of examples/faces, out of a package, into weights/faces/
	@$(RUN) -m examples.faces.build model=faces $(ARGS)

build_densenet161: install ## random weights for examples/densenet161, for timing
	@$(RUN) -m examples.densenet161.build model=densenet161 $(ARGS)

build_resnet56: install ## random weights for examples/resnet56, for timing
	@$(RUN) -m examples.resnet56.build model=resnet56 $(ARGS)

##@ Run
up: install ## TorchServe and the gateway in the background (MODELS=genre,imagenet: several models)
	@$(COMMAND) up $(SERVED) $(ARGS)

down: install ## stop them
	@$(COMMAND) down $(ARGS)

status: install ## one line a part: state, pid, URL (ARGS=--json)
	@$(COMMAND) status $(ARGS)

# gateway, torchserve, handler or all.
OF ?= gateway
logs: install ## follow the gateway's log; OF=handler: that of the workers, OF=torchserve, OF=all
	@$(FOREGROUND) $(COMMAND) logs --of $(OF) $(ARGS)

run_ts: install ## TorchServe alone in the foreground
	@$(FOREGROUND) $(COMMAND) torchserve $(ARGS)

run_app: install ## the gateway alone in the foreground
	@$(FOREGROUND) $(COMMAND) app $(SERVED) $(ARGS)

run_nginx_filebrowser: install ## model_mars/ over HTTP, in the foreground
	@$(FOREGROUND) $(COMMAND) file-browser $(ARGS)

##@ Deploy and operate
# Name and version are the archive's, unless the command line has others.
ARCHIVE = 'archive_source.path="$(MAR)"' $(if $(NAME),model.name=$(NAME)) \
	$(if $(filter-out file,$(origin MODEL)),model=$(MODEL)) \
	$(if $(filter-out file,$(origin VERSION)),'model.version="$(VERSION)"')
upload_model: install ## swap a version in, built first (MODEL=genre VERSION=1.0) or an archive as it is (MAR=theirs.mar)
	@$(COMMAND) deploy $(if $(MAR),$(ARCHIVE),$(CHOICE)) $(ARGS)

adopt: install ## the models of a TorchServe that runs already (ARGS="torchserve.management_url=http://...:8081")
	@$(COMMAND) adopt $(ARGS)

import_config: install ## a config.properties in our settings: a table, and NAME=mine writes config/torchserve/mine.yaml (FILE=)
	@$(COMMAND) import-config "$(FILE)" $(if $(NAME),--name $(NAME)) $(ARGS)

rollback: install ## back to the version that served before (MODEL=genre, or NAME= of an archive that came as it is)
	@$(COMMAND) rollback $(if $(NAME),model=foreign model.name=$(NAME),model=$(MODEL)) $(ARGS)

# Files to add to the model's samples.
INPUTS ?=
record_samples: install ## the serving version's answers become the expected ones (MODEL=genre INPUTS="cat.jpg dog.jpg")
	@$(COMMAND) record-samples model=$(MODEL) write=config/model/$(MODEL).yaml $(if $(INPUTS),'inputs=[$(subst $(SPACE),$(COMMA),$(strip $(INPUTS)))]') $(ARGS)

models: install ## what is deployed: versions, default, workers, batching, queue, since when (ARGS=--json)
	@$(COMMAND) models model=$(MODEL) $(ARGS)

watch: install ## live: images/s, latency, queue, batch size, workers by version; Ctrl-C ends
	@$(FOREGROUND) $(COMMAND) watch model=$(MODEL) $(ARGS)

manage: install ## the Management API by hand, see docs/management.md (ARGS="list --json")
	@$(COMMAND) manage $(ARGS)

grpc: install ## TorchServe over gRPC by hand, see docs/grpc.md (ARGS="infer genre imgs/horror.jpg")
	@$(COMMAND) grpc $(ARGS)

##@ Develop
grpc_stubs: .venv/.installed-dev ## what protoc makes of torchserve_gateway/torchserve_api/grpc/proto/
	@$(RUN) -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpc_python_out=. torchserve_gateway/torchserve_api/grpc/proto/*.proto

##@ Deploy and operate
KEY = key $(NAME) $(if $(RIGHTS),--rights $(RIGHTS)) $(if $(REVOKE),--revoke $(REVOKE))

api_key: install ## a key for a caller, printed once; see docs/security.md (NAME=app RIGHTS=predict,models REVOKE=old)
	@$(COMMAND) $(KEY) $(ARGS)

##@ Measure
run_stress: install ## load and images per second
	@$(COMMAND) stress model=$(MODEL) $(ARGS)

##@ Examples and tutorials
# The targets of the MNIST tutorial, docs/tutorials.md, under their names.
model_name ?= $(MODEL)
# As VERSION.
model_version ?=
tserve_url ?= http://127.0.0.1
models_port ?= 8081
num_workers ?= 1
# URL of an archive; empty: the archive that `make mar` wrote.
model_url ?=
TUTORIAL_CHOICE = model=$(model_name)$(if $(model_version), 'model.version="$(model_version)"')
TUTORIAL_SOURCE = $(if $(model_url),'archive_source.url="$(model_url)"',archive_source=model_mars)
TUTORIAL_URL = $(if $(findstring ://,$(tserve_url)),,http://)$(tserve_url):$(models_port)

mar: install ## generate_mar by the MNIST tutorial's name (model_name=digits model_version=1.0)
	@$(COMMAND) generate-mar $(TUTORIAL_CHOICE) $(ARGS)

serve-run: run_ts ## run_ts by the MNIST tutorial's name

serve-start: up ## up by the MNIST tutorial's name

register-model: install ## upload_model by the same (model_name= model_version= tserve_url= models_port= num_workers= model_url=)
	@$(COMMAND) deploy $(TUTORIAL_CHOICE) $(TUTORIAL_SOURCE) model.workers=$(num_workers) torchserve.management_url=$(TUTORIAL_URL) $(ARGS)

##@ Containers
# docker where its daemon answers, else podman.
CONTAINER_ENGINE ?= $(shell docker info >/dev/null 2>&1 && echo docker || echo podman)
# Options of every build, for a machine that reaches its packages by a way of its own, see docs/containers.md.
BUILD_ARGS ?=
CUDA_VERSION ?= cu130
# Containers of TorchServe behind HAProxy.
TORCHSERVES ?= 1
IMAGES := localhost/torchserve-gateway
# Without the format podman drops HEALTHCHECK.
BUILD = $(CONTAINER_ENGINE) build $(if $(filter podman,$(CONTAINER_ENGINE)),--format docker) \
	--build-arg REVISION=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) \
	--build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"$$/\1/p' torchserve_gateway/version.py) $(BUILD_ARGS)
GPUS = $(if $(filter podman,$(CONTAINER_ENGINE)),--device nvidia.com/gpu=all,--gpus all)
# Only the Inference API is published; the Management API is reached from the network of the container alone.
RUN_TS = $(CONTAINER_ENGINE) run --rm --name torchserve --read-only --cap-drop ALL \
	--security-opt no-new-privileges --publish 127.0.0.1:8080:8080 $(TS_VOLUMES)
TS_VOLUMES := --volume /tmp --volume torchserve_model_store:/app/var/model_store --volume torchserve_deployments:/app/var/deployments
COMPOSE = $(if $(filter podman,$(CONTAINER_ENGINE)),podman-compose,docker compose) -f docker/compose.yaml
IN_COMPOSE := torchserve=compose file_browser=compose
DEPLOYER = $(COMPOSE) --profile deploy run --rm -T deploy

build_ts_cpu: ## image of TorchServe; TORCH_INDEX=<CPU wheels> makes it small
	@$(BUILD) -f docker/torchserve.Dockerfile -t $(IMAGES)/torchserve:cpu \
		--build-arg TORCH_BUILD=cpu --build-arg TORCH_INDEX_URL=$(TORCH_INDEX) .

build_ts_cuda: ## image of TorchServe for GPUs (CUDA_VERSION=cu130)
	@$(BUILD) -f docker/torchserve.Dockerfile -t $(IMAGES)/torchserve:$(CUDA_VERSION) \
		--build-arg TORCH_BUILD=$(CUDA_VERSION) --build-arg TORCH_INDEX_URL=$(TORCH_INDEX) .

build_gateway: ## image of the gateway and the commands that deploy
	@$(BUILD) -f docker/gateway.Dockerfile -t $(IMAGES)/gateway:latest .

build_haproxy: ## image of HAProxy with our configuration
	@$(BUILD) -f docker/haproxy.Dockerfile -t $(IMAGES)/haproxy:latest .

run_ts_cpu: build_ts_cpu ## TorchServe alone in a container, in the foreground
	@$(IN_FOREGROUND) $(RUN_TS) $(IMAGES)/torchserve:cpu torchserve=published model=$(MODEL) $(ARGS)

run_ts_cuda: build_ts_cuda ## the same with the machine's GPUs
	@$(IN_FOREGROUND) $(RUN_TS) $(GPUS) $(IMAGES)/torchserve:$(CUDA_VERSION) torchserve=published model=$(MODEL) $(ARGS)

run_ts_upload_model: generate_mar build_gateway ## swap a version in there (MODEL=genre VERSION=1.0)
	@$(CONTAINER_ENGINE) run --rm --network container:torchserve --read-only $(TS_VOLUMES) \
		--volume "$(CURDIR)/model_mars:/app/model_mars:ro" $(IMAGES)/gateway:latest \
		upload_model.py archive_source=model_mars $(CHOICE) $(ARGS)

compose_up: MODEL := $(firstword $(subst $(COMMA), ,$(MODELS)))
compose_up: generate_mar build_ts_cpu build_gateway build_haproxy docker/secrets/grafana_password ## the stack in containers, MODEL and VERSION deployed (MODELS=genre,digits: several served)
	@MODEL=$(MODEL) MODELS=$(MODELS) $(COMPOSE) $(if $(PROFILE),--profile $(PROFILE)) up -d --scale torchserve=$(TORCHSERVES)
	$(DEPLOYER) docker/answers.py http://torchserve:8081/models 120
	$(DEPLOYER) upload_model.py $(IN_COMPOSE) archive_source=file_browser $(CHOICE) if_another_serves=keep $(ARGS)
	$(DEPLOYER) docker/answers.py http://haproxy:8080/ping 30

compose_down: ## stop and remove it; what is deployed stays in its volumes
	@$(COMPOSE) --profile monitoring --profile deploy down --remove-orphans $(ARGS)

compose_upload_model: generate_mar ## swap a version in there (MODEL=genre VERSION=1.0)
	@$(DEPLOYER) upload_model.py $(IN_COMPOSE) archive_source=file_browser $(CHOICE) $(ARGS)

compose_rollback: ## back to the version that served there before
	@$(DEPLOYER) -m torchserve_gateway rollback $(IN_COMPOSE) model=$(MODEL) $(ARGS)

compose_models: ## what is deployed there
	@$(DEPLOYER) -m torchserve_gateway models $(IN_COMPOSE) model=$(MODEL) $(ARGS)

compose_api_key: ## a key for a caller there, as make api_key does (NAME=app RIGHTS=predict REVOKE=old)
	@$(DEPLOYER) -m torchserve_gateway $(KEY) gateway=container $(ARGS)

# Its container's user reads it, and nobody else reaches the folder.
docker/secrets/grafana_password:
	@install -d -m 700 docker/secrets
	od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >$@ && chmod 644 $@

##@ Develop
# The tests of a stack follow it from empty to scaled: pods and images take minutes to start anew.
IN_ORDER := -p no:randomly
test_containers: .venv/.installed-dev ## builds the images and tests the stack in containers, see docs/containers.md
	@$(RUN) -m pytest tests/containers $(IN_ORDER) $(PYTEST_ARGS)

##@ Measure
bench: .venv/.installed-dev ## side-by-side measurements
	@$(RUN) -m tools.bench.http_transports
	$(RUN) -m tools.bench.load_generator
	$(RUN) -m tools.bench.image_headers
	$(RUN) -m tools.bench.preprocessing
	$(RUN) -m tools.bench.swaps
	$(RUN) -m tools.bench.overload
	$(RUN) -m tools.bench.live_view
	$(RUN) -m tools.bench.memory
	$(RUN) -m tools.bench.hostile

bench_gateway: .venv/.installed-dev ## the gateway alone, beside a small proxy and nginx, before an upstream that answers at once
	@$(RUN) -m tools.bench.gateway_cost

profile_gateway: .venv/.installed-dev ## where a request's CPU time goes in the gateway alone
	@$(RUN) -m tools.bench.gateway_cost.profile

bench_engine: .venv/.installed-dev ## every engine and precision of this machine: images/s, parity, load time, size
	@$(RUN) -m tools.bench.engines

bench_gpu: .venv/.installed-dev ## on this machine's GPU: precisions, CUDA graphs, decoding, the whole stack (ARGS=networks, compilers, decoding or served)
	@$(RUN) -m tools.bench.gpu $(ARGS)

bench_peers: .venv/.installed-dev ## the same model here, in LitServe, MLServer, BentoML, Ray Serve (ARGS=resnet18 or demo)
	@$(RUN) -m tools.bench.peers $(ARGS)

bench_load: .venv/.installed-dev ## JPEGs of 200 x 300 to 4000 x 6000, PNG, WebP: closed and open loop through the whole stack
	@$(RUN) -m tools.bench.image_load

bench_torchserve: .venv/.installed-dev ## settings of TorchServe and its Java side by side: CPU time and log of an image
	@$(RUN) -m tools.bench.torchserve_settings

# DenseNet's weights are no part of the repository.
DENSENET = $(if $(filter densenet161,$(MODEL)),weights/densenet161-random.pth)
weights/densenet161-random.pth: .venv/.installed
	@$(RUN) -m examples.densenet161.build model=densenet161

# Requests for each batch size of profile.
N ?= 200
profile: .venv/.installed $(DENSENET) ## times of loading and of each stage of a batch, by batch size; see docs/timing.md (MODEL=densenet161 N=2000)
	@$(RUN) -m tools.studies.profile model=$(MODEL) requests=$(N) $(ARGS)

WORKERS ?= 1,2,4
compare_workers: .venv/.installed $(DENSENET) ## queue and inference latency by number of workers (MODEL=digits WORKERS=1,2,4)
	@$(RUN) -m tools.studies.compare_workers model=$(MODEL) 'workers=[$(WORKERS)]' $(ARGS)

scaling: .venv/.installed-dev ## measures, simulates many replicas, says what 10,000 images/s would take
	@$(RUN) -m tools.sizing model=$(MODEL) $(ARGS)

##@ Develop
dashboard: .venv/.installed-dev ## the Grafana dashboard from tools/dashboard/panels.py
	@$(RUN) -m tools.dashboard.dashboard

# Sphinx warns of a dead link only where it reads the page.
docs: .venv-docs/.installed ## the pages and the reference as a site in var/site; a dead link fails
	@.venv-docs/bin/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going -c docs -d var/site-cache . var/site
	echo "file://$(CURDIR)/var/site/docs/index.html"

format: .venv/.installed-dev ## ruff's formatter over everything
	@$(RUN) -m ruff check --fix --quiet $(SOURCES)
	$(RUN) -m ruff format $(SOURCES)

lock: .venv/.installed-dev ## requirements.lock anew from requirements*.txt
	@$(RUN) -m piptools compile --quiet --upgrade --allow-unsafe --strip-extras --no-emit-options \
		--output-file requirements.lock requirements-dev.txt

clean: down ## what was built, not the environment
	@rm -rf var model_mars/*.mar model_mars/*.mar.sha256
