# CiTel. `make help` lists what there is.
SHELL := /bin/sh
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X github.com/citel-pa/citel/pkcs/version.Version=$(VERSION)
GO      ?= go
# Go's ./... passes folders named testdata by, so their packages are named.
PACKAGES := ./... $(shell find testdata -name '*.go' -not -path '*/wycheproof/*' -not -path '*/node_modules/*' 2>/dev/null | xargs -r -n1 dirname | sort -u | sed 's|^|./|')
# go test takes the packages in the order in which they are named: what takes longest begins
# first, and what is short fills the time beside it.
LONGEST  := ./testdata/e2e ./server/console ./server/portal ./testdata/pcscd ./server/submission ./agent/worker

.PHONY: help
help: ## what there is
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: deps deps-build deps-demo deps-test deps-windows deps-pack deps-install
deps: deps-test ## install what build, demo and tests need (apt; says what)
deps-build:
	@./installer/deps.sh build
deps-demo:
	@./installer/deps.sh demo
deps-test:
	@./installer/deps.sh test
deps-windows:
	@./installer/deps.sh windows
deps-pack:
	@./installer/deps.sh pack
deps-install:
	@./installer/deps.sh install

.PHONY: assets
assets: deps-build ## fetch and bundle what the pages need (npm, esbuild)
	@$(GO) run ./server/assets/build
	@$(GO) run ./agent/client/bundle/cmd/bundle -out build/client

.PHONY: build
build: assets ## citel-agent, citel-window and citel-server into build/, for testers
	@mkdir -p build
	$(GO) build -trimpath -tags tester -ldflags '$(LDFLAGS)' -o build/citel-agent ./agent/cmd/citel-agent
	$(GO) build -trimpath -tags production,gtk3 -ldflags '$(LDFLAGS)' -o build/citel-window ./agent/cmd/citel-window
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o build/citel-server ./server/cmd/citel-server

.PHONY: dist
PACK ?=
dist: assets deps-pack ## programs without the tester's commands and their packages, into build/dist/ (PACK: options of installer/pack, e.g. keys)
	@mkdir -p build/dist && rm -f build/dist/*
	@rm -rf build/npm && mkdir -p build/npm && cp -r agent/client/package.json agent/client/README.md agent/client/src agent/client/web-eid LICENSE build/npm/
	@$(GO) run ./agent/client/bundle/cmd/bundle -out build/npm/dist
	@cd build/npm && npm pack --silent --pack-destination ../dist
	cd installer/pack && $(GO) run . -version '$(VERSION)' $(PACK)

.PHONY: demo
demo: deps-demo build ## the main job in front of your eyes (CARD=cns|cie|softhsm; a virtual CNS where none is named)
	@CARD='$(CARD)' $(GO) run ./testdata/demo

.PHONY: windows
windows: deps-windows assets ## tester's citel-agent.exe into build/windows/, installer and archive into build/dist-windows/ (mingw, wixl); PC/SC itself needs no cgo
	@mkdir -p build/windows
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) build ./agent/card/... ./agent/gateway ./pkcs/cms ./pkcs/cades
	GOOS=windows GOARCH=amd64 CGO_ENABLED=1 CC=x86_64-w64-mingw32-gcc $(GO) build -trimpath -tags tester -ldflags '$(LDFLAGS)' -o build/windows/citel-agent.exe ./agent/cmd/citel-agent
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) build -trimpath -tags production -ldflags '$(LDFLAGS) -H windowsgui' -o build/windows/citel-window.exe ./agent/cmd/citel-window
	@mkdir -p build/dist-windows && rm -f build/dist-windows/*
	cd installer/pack && $(GO) run . -windows -out ../../build/dist-windows -version '$(VERSION)' $(PACK)

.PHONY: test-install
test-install: deps-install dist windows ## packages on trial: a fresh Debian root, both browsers, two users, Wine
	$(GO) build -o build/tools/trial ./installer/trial
	build/tools/trial

.PHONY: token
CF   ?=
KIND ?= cns
token: deps-demo ## a SoftHSM token for a tester: make token CF=... KIND=cns|cie|qualified|expired|revoked
	@$(GO) run ./testdata/cmd/token -cf '$(CF)' -kind '$(KIND)' -dir build/token

.PHONY: test
test: deps-test build ## all tests with the race detector, browsers included
	$(GO) test -race -tags tester -timeout 35m $(LONGEST) $(PACKAGES)
	cd testdata/wycheproof && $(GO) test ./...
	cd installer/pack && $(GO) test ./...

.PHONY: test-full
test-full: test ## test, then what takes long: 1,000 applications through killed servers, uploads of 2 GiB
	CITEL_CRASH=1000 $(GO) test -count 1 -timeout 30m -run 'Kill|Crash' ./server/submission ./server/cmd/citel-server
	CITEL_API_MB=2048 $(GO) test -count 1 -tags tester -timeout 30m -run TestInterfaceForPortals ./testdata/e2e

.PHONY: conformance
conformance: ## published suites from a folder: make conformance CORPUS=DIR (pkits: NIST's certification paths)
	@test -n '$(CORPUS)' || { echo 'usage: make conformance CORPUS=DIR'; exit 64; }
	CITEL_CORPUS='$(abspath $(CORPUS))' $(GO) test -count 1 -v -run '^TestPKITS$$' ./pkcs/trust

.PHONY: screenshots
screenshots: deps-test build ## the window and the portal, as people see them, into build/screenshots/
	$(GO) test -tags tester -count 1 -run 'TestWindow$$|TestHostileDocuments|TestChromium$$|TestFirefox$$' ./testdata/e2e
	@ls build/screenshots

.PHONY: fuzz fuzz-short
FUZZTIME ?= 10m
fuzz: ## every fuzz target for FUZZTIME (10m)
	@$(GO) run ./testdata/cmd/fuzz -time $(FUZZTIME) $(PACKAGES)
fuzz-short: ## all fuzz targets in 5 minutes together
	@$(GO) run ./testdata/cmd/fuzz -total 5m $(PACKAGES)

.PHONY: bench bench-go
BIG ?= 2147483648
bench: deps-test build ## figures beside their peers, in one run, into build/bench.json
	@$(GO) run ./testdata/bench -out build/bench.json -big $(BIG)
bench-go: ## every package's own benchmarks
	$(GO) test -tags tester -run '^$$' -bench . -benchtime 1s $(PACKAGES)

.PHONY: soak
ROUNDS ?= 200
soak: deps-demo build ## the main job ROUNDS times (200): nothing may be kept (CARD=cns|cie: the card is put in and taken out each time)
	@$(GO) run ./testdata/soak -rounds $(ROUNDS) -card '$(CARD)'

.PHONY: lint
LINT_VERSION := v2.15.0
lint: ## go vet, golangci-lint (the walls of the house included), gofmt
	@test -z "$$(gofmt -l agent server pkcs installer testdata)" || { gofmt -l agent server pkcs installer testdata; exit 1; }
	$(GO) vet -tags tester $(PACKAGES)
	$(GO) vet -tags production,gtk3 ./agent/window ./agent/cmd/citel-window
	cd installer/pack && $(GO) vet ./...
	@test -x build/tools/golangci-lint || GOBIN='$(abspath build/tools)' $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	build/tools/golangci-lint run --build-tags tester $(PACKAGES)

.PHONY: vuln
vuln: ## known vulnerabilities of what is linked, where the database can be reached
	@test -x build/tools/govulncheck || GOBIN='$(abspath build/tools)' $(GO) install golang.org/x/vuln/cmd/govulncheck@v1.9.0
	@build/tools/govulncheck ./... || { test $$? -eq 3 && exit 3; echo 'govulncheck: NOT RUN (its database could not be reached)'; }

.PHONY: tidy
tidy: ## go mod tidy; it passes testdata by, so what only tests use is put back
	$(GO) mod tidy
	$(GO) get github.com/chromedp/chromedp@v0.23.0 github.com/chromedp/cdproto@v0.159.0
	cd testdata/wycheproof && $(GO) mod tidy
	cd installer/pack && $(GO) mod tidy

.PHONY: clean
clean: ## take build/ away
	rm -rf build
