# Everything that is done to this project, by hand or by CI. `make` alone tells what there is.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOL     := go tool -modfile=tools/go.mod
FUZZTIME ?= 30s
ARGS     ?=

# The packages whose goroutines share something.
RACE ?= ./chat/... ./wire/... ./streams/... ./sql/... ./client/... ./history/... ./directory/... ./edge/... ./workers/... ./api/... ./audit/... ./cmd/...

# The version comes from above: a checkout without its history, or one that belongs to somebody else, builds as well.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

.DEFAULT_GOAL := help

.PHONY: help
help: ## Tell what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Run everything in one process (ARGS="--auth required" adds flags)
	bin/whaleshark dev $(ARGS)

.PHONY: up
up: build ## Run a process for each role, with overmind, hivemind, foreman or honcho (ARGS="-m sequence=3,edge=2" scales)
	@if   command -v overmind >/dev/null; then exec overmind start $(ARGS); \
	elif command -v hivemind  >/dev/null; then exec hivemind --port 8801 $(ARGS); \
	elif command -v foreman   >/dev/null; then exec foreman start --port 8801 $(ARGS); \
	elif command -v honcho    >/dev/null; then exec honcho start --port 8801 $(ARGS); \
	else echo >&2 'make up needs a runner of Procfiles. Install overmind, and the tmux that it needs:'; \
		echo >&2 '  Debian, Ubuntu: apt-get install -y tmux && go install github.com/DarthSim/overmind/v2@latest'; \
		echo >&2 '  macOS:          brew install overmind'; \
		exit 1; \
	fi

.PHONY: build
build: ## Build bin/whaleshark
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/whaleshark ./cmd/whaleshark

.PHONY: check
check: fmt-check lint test verify ## Check all that a commit must pass

.PHONY: fmt
fmt: ## Format the code
	$(TOOL) golangci-lint fmt

.PHONY: fmt-check
fmt-check: ## Check that the code is formatted
	$(TOOL) golangci-lint fmt --diff

.PHONY: lint
lint: ## Look for mistakes, and for imports against the floors
	$(TOOL) golangci-lint run

.PHONY: test
test: build ## Run all tests, against a real NATS and a real Postgres
	go test -timeout 20m ./...

.PHONY: race
race: ## Run the tests with the race detector
	go test -race -timeout 15m $(RACE)

.PHONY: bench
bench: ## Time the hot pieces, as benchstat reads it (ARGS="-count 10"); how fast a server is, `bin/whaleshark bench` tells
	go test -run '^$$' -bench 'Hot|Decode|Parse|Append|Deliver' -benchmem $(ARGS) ./wire ./chat ./streams ./workers/fanout ./edge

.PHONY: fuzz
fuzz: ## Run each fuzz test for FUZZTIME: a time, or a number of inputs (10000x)
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u | while read -r dir; do \
		for target in $$(go test -list '^Fuzz' "$$dir" | grep '^Fuzz'); do \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; \
		done; \
	done

.PHONY: db
db: build ## Bring the database to the schema of this checkout (WHALESHARK_DATABASE, or that of what runs in .data)
	bin/whaleshark migrate

.PHONY: generate
generate: ## Generate code: the queries, from sql/queries
	$(TOOL) sqlc generate --file sql/sqlc.yaml

.PHONY: verify
verify: ## Check that generated code and go.mod are current
	$(TOOL) sqlc diff --file sql/sqlc.yaml
	go mod tidy -diff
