# Highwater. What can be made:
#
#   make run DB=app.db [STORE=folder]  install what is missing, build, back up app.db commit by
#                                      commit into the folder (default ./highwater-backup)
#   make run                           the same with a small sample database and a live writer
#   make test                          everything CI does: lint, format check, build, all tests
#   make build                         the release binary, .build/release/highwater
#   make lint                          what swift-format and the Python compiler can say
#   make format                        rewrite the sources in the house format
#   make model [BOUNDS=commits=3]      the pin protocol over all interleavings
#   make sim [SEEDS=1-200] [TRACE=1]   simulated histories of the engine, by seed
#   make bench                         the numbers of docs/BENCHMARKS.md, as a markdown table
#   make bench-s3                      the same over S3, against a local Ceph, beside rclone
#   make install [PREFIX=/usr/local] [DESTDIR=]
#                                      program, man page, completions, systemd unit, examples;
#                                      BINARY=path installs that program and builds nothing
#   make clean                         remove everything that was built
#
# RUN_SECONDS=10 ends `make run` by itself, for scripts. SWIFT names another toolchain.

SWIFT ?= swift
PREFIX ?= /usr/local
SWIFT_SOURCES = Sources Tests Package.swift

export SWIFT RUN_SECONDS

.PHONY: help run test build lint format model sim bench bench-s3 clean install

help:
	@sed -n '3,/^$$/s/^# \{0,1\}//p' Makefile

run: build
	@scripts/run.sh "$(DB)" "$(STORE)"

test:
	@scripts/test.sh

build:
	@scripts/packages.sh build
	$(SWIFT) build -c release --static-swift-stdlib --product highwater

lint:
	$(SWIFT) format lint --strict --parallel --recursive $(SWIFT_SOURCES)
	@scripts/lint-python.sh

format:
	$(SWIFT) format --in-place --parallel --recursive $(SWIFT_SOURCES)

model:
	$(SWIFT) build --build-tests
	HIGHWATER_MODEL=$(BOUNDS) $(SWIFT) test --skip-build --filter '^ModelTests\.'

sim:
	$(SWIFT) build --build-tests
	@scripts/sim.sh $(or $(SEEDS),1-200)

bench: build
	@scripts/packages.sh test
	@scripts/python.sh Benchmarks/bench.py --binary .build/release/highwater $(BENCH)

bench-s3: build
	$(SWIFT) build -c release --static-swift-stdlib --product StoreBenchmark
	@scripts/packages.sh test
	@python3 Tests/S3Servers/servers.py up ceph rclone
	@scripts/python.sh Benchmarks/s3.py --binary .build/release/highwater \
		--store-benchmark .build/release/StoreBenchmark $(BENCH); \
		status=$$?; python3 Tests/S3Servers/servers.py down; exit $$status

install: $(if $(BINARY),,build)
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" \
		scripts/install.sh "$(or $(BINARY),.build/release/highwater)"

clean:
	rm -rf .build
