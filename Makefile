# SPDX-License-Identifier: EUPL-1.2
#
# Everything a person does with this repository. A fresh Debian machine needs Go, git and make (and root or sudo);
# each target installs what else it needs by .ci/need.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Nothing of the caller's Go settings leaks into a build or a test. Only bin/pvgate is compiled with its profile: with it, all
# that it imports is compiled a second time.
export GOFLAGS := -pgo=off
export CGO_ENABLED := 0
export GOTOOLCHAIN := local
export GOWORK := off
unexport GODEBUG GOEXPERIMENT GOARCH GOOS GOAMD64

# The folder with the full-size test material; empty on most machines, and the tests say what they skip.
export PVGATE_MATERIAL ?=

TOOLS := .cache/tools
GOLANGCI_VERSION := v2.15.0
H2SPEC := $(TOOLS)/h2spec
GOLANGCI := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)

FUZZTIME ?= 10s

# The commit goes into the binary where git can tell it (go version -m bin/pvgate).
VCS := $(shell git rev-parse --verify -q HEAD >/dev/null 2>&1 && echo true || echo false)

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## bin/pvgate, one static binary
	go build -pgo=auto -trimpath -buildvcs=$(VCS) -o bin/pvgate ./cmd/pvgate

.PHONY: build-lenient
build-lenient: # not for use: the strict checks switched off, to see the corpora harness bite
	go build -tags pvgate_lenient -buildvcs=false -o bin/pvgate-lenient ./cmd/pvgate

.PHONY: demo
demo: build ## pvgate with its demo registry and simulated portals; prints commands to try
	bin/pvgate demo $(DEMO_ARGS)

# The race detector is cgo's. It lets each process wait a second before it ends, for late reports; tests start hundreds. A
# world of the simulation has one thread, so that most are played without it.
.PHONY: test
test: export CGO_ENABLED := 1
test: export GORACE := atexit_sleep_ms=20
test: need-test ## vet, and all tests with the race detector (15 min at most on 2 cores)
	go vet -race ./...
	PVGATE_SIM_WORLDS=60 go test -race -vet=off -shuffle=on -timeout 15m ./...
	CGO_ENABLED=0 go test -vet=off -run '^TestSimulatedKernel$$' ./gateway

.PHONY: need-test
need-test:
	@.ci/need gcc pebble curl nghttp h2load promtool
	@.ci/need unshare ip iptables || echo "without them faults of the network are not injected"
	@.ci/need chromium || echo "without chromium the tests that ask a browser are skipped"

.PHONY: prove
prove: build build-lenient need-test ## the full counts behind the figures in README; hours, writes bench/proof/*.json
	@.ci/need node slowhttptest testssl
	PVGATE_PROVE=1 go test -count=1 -timeout 4h ./...
	PVGATE_PROVE=1 go run ./bench/fuzz
	go run ./bench/corpora
	go run ./bench/corpora -tls -lenient ""
	PVGATE_PROVE=1 go run ./bench/corpora -mutations 1000000
	PVGATE_PROVE=1 go run ./bench/rig

.PHONY: lint
lint: $(GOLANGCI) ## gofumpt, golangci-lint with .golangci.yml, go.mod tidy
	$(GOLANGCI) fmt --diff
	$(GOLANGCI) run
	go mod tidy -diff

$(GOLANGCI):
	@mkdir -p $(TOOLS)
	@echo "building golangci-lint $(GOLANGCI_VERSION) once, some minutes"
	GOBIN=$(abspath $(TOOLS)/build) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(TOOLS)/build/golangci-lint $(GOLANGCI)

.PHONY: bench
bench: build ## pvgate beside nginx, CPU per request; writes bench/results/latest.json
	@.ci/need gcc nginx taskset
	go run ./bench/run $(BENCH_ARGS)

.PHONY: corpora
corpora: build build-lenient ## hostile requests and responses through the built binary, two judges (needs PVGATE_MATERIAL)
	@.ci/need node
	go run ./bench/corpora
	go run ./bench/corpora -loops 2 -lenient ""
	go run ./bench/corpora -tls -lenient ""
	go run ./bench/corpora -mutations 20000

.PHONY: rig
rig: build $(H2SPEC) # the fault rigs against the built binary, about a minute each
	@.ci/need slowhttptest || echo "without slowhttptest the rig called slow is skipped"
	@.ci/need testssl || echo "without testssl.sh the rig called testssl is skipped"
	go run ./bench/rig

$(H2SPEC):
	@mkdir -p $(TOOLS)
	GOBIN=$(abspath $(TOOLS)) go install github.com/summerwind/h2spec/cmd/h2spec@latest

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s) each
	FUZZTIME=$(FUZZTIME) .ci/fuzz
