# Everything that is done with this repository, by name. `make help` tells what each target does and what can be set.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO        ?= go
# One throughout a run, whatever is committed meanwhile.
ifeq ($(origin VERSION), undefined)
VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
endif
MODULE    := github.com/unibus/unibus
LDFLAGS   := -s -w -X $(MODULE)/internal/membershipd.Version=$(VERSION) -X $(MODULE)/internal/cli.Version=$(VERSION) -X $(MODULE)/internal/operator.Version=$(VERSION)
TESTFLAGS ?=
ROUNDS    ?= 20
SEED      ?= 1
FUZZTIME  ?= 60s
CLUSTERS  ?= 1000
BENCH     ?=

LINT_VERSION := $(shell awk '$$1 == "github.com/golangci/golangci-lint/v2" {print $$2}' go.tools.mod)
LINT         := .cache/golangci-lint-$(LINT_VERSION)
# Stock nats-server of the version that is embedded, built from the same module and with the same dependencies.
NATS_VERSION := $(shell awk '$$1 == "github.com/nats-io/nats-server/v2" {print $$2}' go.mod)
STOCK        := .cache/nats-server-$(NATS_VERSION)-$(shell $(GO) env GOVERSION)
# Clients that tests use as they come; go.mod, package.json and their lock files name the versions.
CLIENTS      := internal/e2e/testdata/clients

# All that has no race detector is compiled alike, in each module, so that what modules and programs share is compiled once. Tests do not run vet,
# which is one of the linters: it would look through all that they import, too. Debug information, which programs and tests are linked without, would
# be an eighth of the compiler's work.
FLAGS              := -trimpath -vet=off -gcflags=all=-dwarf=false
export CGO_ENABLED := 0
export GOFLAGS     := $(filter-out $(FLAGS),$(shell $(GO) env GOFLAGS)) $(FLAGS)
RACE         := CGO_ENABLED=1 $(GO) test -race
# The tests of a cluster that CI runs, and the name of that cluster.
SHORT        := TestMemory|TestStatefulSet|TestCertificates|TestNodeFaults/kill9
OWN          ?= conformance
# All of that module but components, which links Kubernetes.
OURS         := . ./pause $(patsubst hack/devcluster/%,./%/...,$(wildcard hack/devcluster/conformance hack/devcluster/internal))

.PHONY: help
help: ## Show this help
	@echo 'usage: make TARGET [NAME=VALUE ...]'
	@echo
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo 'A clean clone needs Go 1.26, git and make; .ci/run installs the few Debian packages that some tests use.'

.PHONY: build
build: ## Build bin/membershipd (the node) and bin/unibus (the command line)
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/membershipd ./cmd/unibus

# Architectures of images, and the programs that have one each.
ARCHITECTURES := amd64 arm64
PROGRAMS      := membershipd unibus-operator unibus

.PHONY: images
images: bin/devcluster ## Make images of the programs for amd64 and arm64, in bin/images (PUSH=registry/prefix pushes them, too)
	@for arch in $(ARCHITECTURES); do \
		GOOS=linux GOARCH=$$arch $(GO) build -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/images/$$arch/ $(PROGRAMS:%=./cmd/%); done
	@for name in $(PROGRAMS); do \
		tag=$(or $(PUSH),unibus)/$$name:$(VERSION); \
		echo "$$tag $$(bin/devcluster image $(ARCHITECTURES:%=bin/images/%/$$name) --tag $$tag -o bin/images/$$name.tar $(if $(PUSH),--push))"; done

.PHONY: generate
generate: ## Write all generated files anew (go generate)
	$(GO) generate ./...

.PHONY: lint
lint: $(LINT) ## Run the linters, the import law among them, and see that the law bites
	$(LINT) run --allow-parallel-runners ./...
	cd hack/devcluster && $(abspath $(LINT)) run --allow-parallel-runners $(OURS)
	$(GO) run ./hack/lawcheck $(LINT)

# Built once for each version: it takes minutes.
$(LINT):
	$(GO) build -modfile=go.tools.mod -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: verify
verify: verify-format verify-generate lint ## Check formatting, go.mod and generated files, and lint (vet is one of the linters); changes no source file that is in order
	$(GO) mod tidy -diff
	@# A linter that is cached hides that its sums are missing.
	$(GO) list -modfile=go.tools.mod -deps tool > /dev/null
	cd hack/devcluster && $(GO) mod tidy -diff

.PHONY: verify-format
verify-format:
	@files=$$(gofmt -l $(wildcard api charts cmd controllers hack internal)); \
	if [ -n "$$files" ]; then echo "not formatted by gofmt:"; echo "$$files"; exit 1; fi

.PHONY: verify-generate
verify-generate:
	@hack/unchanged.sh $(MAKE) --no-print-directory generate

.PHONY: clients
clients: .cache/clients/nats .cache/clients/node_modules/.package-lock.json ## Get the clients of others that tests use: nats, and an npm package

# Built once for each version: it takes a minute or two.
.cache/clients/nats: $(CLIENTS)/go.mod $(CLIENTS)/go.sum
	$(GO) build -C $(CLIENTS) -v -o $(abspath $@) github.com/nats-io/natscli/nats

.cache/clients/node_modules/.package-lock.json: $(CLIENTS)/package.json $(CLIENTS)/package-lock.json
	mkdir -p .cache/clients
	cp $^ .cache/clients
	npm ci --prefix .cache/clients

# Tests of these want parts of Kubernetes, as those of the operator beside real nodes do. They skip what was not built; with EVERY_TEST, as in CI, it is
# built first, or waited for.
PARTED := ./api/v1alpha1 ./charts ./internal/operator

.PHONY: test
test: clients $(if $(EVERY_TEST),bin/devcluster) ## Run all tests with the race detector, but those of the operator beside real nodes (TESTFLAGS='-run X' narrows)
	$(RACE) -timeout 30m $(TESTFLAGS) $(filter-out $(patsubst ./%,$(MODULE)/%,$(PARTED)),$(shell $(GO) list ./...))
	$(if $(EVERY_TEST),eval "$$(bin/devcluster build --assets)" && )$(RACE) $(TESTFLAGS) $(PARTED) && $(GO) test -timeout 30m $(TESTFLAGS) ./controllers

.PHONY: guards
guards: ## Take guards of access and of kept data out, one at a time, and want their tests to fail (GUARDS='-run rooms', '-list'; minutes)
	$(GO) run ./hack/guards $(GUARDS)

.PHONY: model
model: ## Explore the scaling rules breadth-first within a modelled environment (about ten minutes)
	$(GO) test ./internal/scaling -run '^TestModel' -count=1 -v -timeout 15m -model.time 8m30s -model.rules 1m30s

CRASHES := KilledAfterWrites|Change|Repair|Rescue|Rotate(CAs|Keys|RoutePassword.*)|VolumesGrow|HistoryClasses|Expose|Delete
.PHONY: crashes
crashes: ## End the operator after every single write and step of all that it does for a cluster (make test: after a tenth of them)
	eval "$$($(MAKE) --silent envtest-assets)" && $(GO) test ./controllers -run '^Test($(CRASHES))$$' -count=1 -timeout 40m -v -every

.PHONY: bench-operator
bench-operator: ## Measure the operator with 1,000 clusters: memory of each, API calls of a pass, time until a restarted one has seen all (CLUSTERS=1000)
	eval "$$($(MAKE) --silent envtest-assets)" && $(GO) test ./controllers -run '^$$' -bench '^BenchmarkOperator$$' -benchtime 1x -count=1 -timeout 1h -clusters $(CLUSTERS)

.PHONY: soak
soak: ## Grow, fault and shrink real clusters under load (ROUNDS=20 SEED=1); the last line tells what was lost
	$(GO) run ./hack/soak -rounds $(ROUNDS) -seed $(SEED)

$(STOCK): go.mod go.sum
	$(GO) build -ldflags '-s -w' -o $@ github.com/nats-io/nats-server/v2

.PHONY: bench
bench: build $(STOCK) .cache/clients/nats ## Measure throughput, start, growth, logins, history and memory, beside stock nats-server (BENCH=-h shows the flags)
	$(GO) run ./hack/bench -stock $(STOCK) $(BENCH) throughput starts grow restore logins history client memory

.PHONY: bench-failover
bench-failover: build $(STOCK) ## Measure the gaps that kills and planned stops leave, beside stock nats-server
	$(GO) run ./hack/bench -stock $(STOCK) $(BENCH) failover calm

.PHONY: bench-users
bench-users: build $(STOCK) ## Measure how soon a removed user is gone, and bystanders of a storm and of a flood
	$(GO) run ./hack/bench -stock $(STOCK) $(BENCH) revoke storm flood

.PHONY: pictures
pictures: build $(STOCK) ## Draw docs/grow.svg and docs/failover.svg from a run made now
	$(GO) run ./hack/bench -stock $(STOCK) $(BENCH) pictures

.PHONY: screens
screens: ## Draw docs/chat.svg and docs/chat-pause.svg: two people chat in tmux, on a node for trying out, and on three, one of which is killed
	$(GO) test ./hack/screens -count=1 -v -run 'TestDev|TestChat' -write

.PHONY: fuzz
fuzz: ## Run every fuzz target in turn (FUZZTIME=60s each)
	hack/fuzz.sh $(FUZZTIME)

.PHONY: first-message
first-message: ## Tell the minutes from a clean clone, with nothing downloaded or built, to the first message of the README
	DOCS_FIRST=$(CURDIR) $(GO) test -count=1 -timeout 1h -v -run TestFirstMessage ./hack/docs

.PHONY: docs-long
docs-long: ## Run the command blocks of the documentation that take long or need root (make test runs the others)
	DEVCLUSTER_NAME=docs DOCS_LONG=1 $(GO) test -count=1 -timeout 3h -v -run TestCommandBlocks ./hack/docs

.PHONY: bin/devcluster
bin/devcluster:
	$(GO) build -C hack/devcluster -ldflags '-s -w' -o $(abspath $@) .

.PHONY: devcluster-build
devcluster-build: bin/devcluster ## Build Kubernetes and its tools from Go modules, once (minutes; needs root to install packages)
	bin/devcluster build --install

.PHONY: devcluster-up
devcluster-up: devcluster-build ## Bring a real Kubernetes up on this machine (UP='--nodes 5 --name other'; needs root)
	bin/devcluster up $(UP)

.PHONY: devcluster-down
devcluster-down: bin/devcluster ## Remove the cluster of devcluster and all it made (DEVCLUSTER_NAME=other: another)
	bin/devcluster down

.PHONY: test-devcluster
test-devcluster: devcluster-build ## Test devcluster, and that its cluster is what the operator relies on (CLUSTER=dev: one that is up; needs root)
	$(GO) test -C hack/devcluster $(TESTFLAGS) ./internal/...
	$(GO) test -C hack/devcluster -count=1 -timeout 60m -v $(TESTFLAGS) ./internal/command -devcluster $(abspath bin/devcluster)
	$(GO) test -C hack/devcluster -count=1 -timeout 60m -v -parallel 8 $(TESTFLAGS) ./conformance $(if $(CLUSTER),-cluster $(CLUSTER))

.PHONY: test-devcluster-short
test-devcluster-short: devcluster-build ## The part of test-devcluster that CI runs: up, a StatefulSet, certificates, a fault, down (OWN=NAME; needs root)
	$(GO) test -C hack/devcluster ./internal/...
	$(GO) test -C hack/devcluster -count=1 -timeout 10m -v -run TestDownLeavesNothing ./internal/command -devcluster $(abspath bin/devcluster)
	$(GO) test -C hack/devcluster -count=1 -timeout 20m -v -run '$(SHORT)' ./conformance -own $(OWN)

.PHONY: e2e-short
e2e-short: devcluster-build ## Install the operator on a real Kubernetes, scale a cluster 1 -> 3 -> 1 -> 3 under load with a node killed (OWN=NAME; needs root)
	$(MAKE) images ARCHITECTURES=$$($(GO) env GOARCH) VERSION=$(VERSION)
	hack/e2e.sh $(OWN) $(VERSION) TestShort

# The suites of make e2e, each on a Kubernetes of its own. Their tests have names that begin with theirs, in the singular. An upgrade is from this commit.
SUITES  := ready scale faults storage rolls certificates upgrade entry rest
EARLIER ?= 7fade242a45320b8ebf84c200510fc89184345a3

.PHONY: e2e
e2e: devcluster-build .cache/clients/nats ## Try the operator on a real Kubernetes under load: scales, faults, disks, rolls and more, suite by suite (SUITE=scale: one; needs root)
	$(MAKE) images ARCHITECTURES=$$($(GO) env GOARCH) VERSION=$(VERSION)
	@for suite in $(or $(SUITE),$(SUITES)); do \
		if [ $$suite = upgrade ]; then hack/earlier.sh $(EARLIER) bin/earlier; fi; \
		echo "suite $$suite"; hack/e2e.sh $(OWN) $(VERSION) "(?i)^Test$${suite%s}"; done

# The Kubernetes of the demo: one of devcluster's, which is brought up, or that of kubectl's current context. All is built as images are, once.
PLACE := $(filter-out current,$(or $(CLUSTER),demo))
DEMO  := $(GO) run -buildvcs=false ./hack/demo -devcluster '$(PLACE)'

.PHONY: demo
demo: bin/demo/unibus $(if $(PLACE),demo-place) ## Show a bus on Kubernetes that grows from one node to three (needs root; CLUSTER=current IMAGES=registry/prefix: in kubectl's context; RECORD=FILE.svg)
	@$(DEMO) -images '$(or $(IMAGES),$(if $(PLACE),unibus))' -version $(VERSION) $(if $(RECORD),-record '$(RECORD)')

.PHONY: bin/demo/unibus
bin/demo/unibus:
	$(GO) build -buildvcs=false -ldflags '$(LDFLAGS)' -o $@ ./cmd/unibus

.PHONY: demo-place
demo-place: devcluster-build
	$(MAKE) images ARCHITECTURES=$$($(GO) env GOARCH) VERSION=$(VERSION)
	bin/devcluster --name $(PLACE) up --nodes 3 --install > /dev/null
	@for name in $(PROGRAMS); do bin/devcluster --name $(PLACE) load bin/images/$$name.tar; done

.PHONY: demo-down
demo-down: bin/devcluster ## Remove what make demo has made (CLUSTER=current: from kubectl's context)
	@$(if $(PLACE),bin/devcluster --name $(PLACE) down,$(DEMO) -down)
	rm -rf bin/demo

.PHONY: envtest-assets
envtest-assets: bin/devcluster ## Print the setting by which envtest finds etcd, kube-apiserver and kubectl
	@bin/devcluster build --assets

.PHONY: clean
clean: ## Remove what was built (the tools in .cache stay)
	rm -rf bin
