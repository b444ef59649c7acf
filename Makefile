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
#   make sim [SEEDS=1-200] [TRACE=1]   simulated histories of the engine, by seed; over 2,000 of
#                                      them optimised, on all cores, and going on where it was
#   make fuzz [SECONDS=60] [TARGET=xml]
#                                      every decoder, or one, under libFuzzer
#   make tsan, make asan [TESTS=regex] the Swift tests under the thread or address sanitizer
#   make chaos [ROUNDS=20] [SEED=7] [CHAOS="--store s3"]
#                                      real processes, killed, stopped, cut off, replaced
#   make soak [MINUTES=20] [SEED=7]    one agent and 50 databases: kills, outages, reloads, retention
#   make image-test [CHECK=compose] [ENGINE=docker]
#                                      the Dockerfile's image: built and run as etc/ does; needs
#                                      docker, or root and podman
#   make mutations [NAMED=pin]         breaks the engine on purpose: do the tests notice?
#   make bench                         the numbers of docs/BENCHMARKS.md, as a markdown table
#   make bench-fleet                   1, 100 and 1,000 databases in one agent
#   make bench-s3                      the same over S3, against a local Ceph, beside rclone
#   make install [PREFIX=/usr/local] [DESTDIR=]
#                                      program, man page, completions, systemd unit, examples;
#                                      BINARY=path installs that program and builds nothing
#   make clean                         remove everything that was built
#
# RUN_SECONDS=10 ends `make run` by itself, for scripts. SWIFT names another toolchain.

SWIFT ?= swift
PREFIX ?= /usr/local
SWIFT_SOURCES = Sources Tests Fuzz Package.swift

export SWIFT RUN_SECONDS

.PHONY: help run test build lint format model sim fuzz tsan asan chaos soak mutations \
	image-test bench bench-s3 bench-fleet bench-litestream clean install

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
	@BUILD=1 scripts/sim.sh $(or $(SEEDS),1-200)

fuzz:
	@scripts/packages.sh build
	@scripts/fuzz.sh $(or $(SECONDS),60) $(TARGET)

tsan asan:
	@scripts/packages.sh test
	@scripts/sanitize.sh $(if $(filter tsan,$@),thread,address) $(TESTS)

chaos:
	@scripts/packages.sh test
	$(SWIFT) build --product highwater
	@scripts/python.sh Tests/Chaos/chaos.py --binary .build/debug/highwater \
		--rounds $(or $(ROUNDS),20) --seed $(or $(SEED),0) $(CHAOS)

soak:
	@scripts/packages.sh test
	$(SWIFT) build -c release --product highwater
	@scripts/python.sh Tests/Soak/soak.py --binary .build/release/highwater \
		--minutes $(or $(MINUTES),20) $(if $(SEED),--seed $(SEED))

image-test:
	@scripts/packages.sh test
	@ENGINE="$(ENGINE)" scripts/image.sh $(CHECK)

mutations:
	@scripts/packages.sh test
	@eval "export $$(scripts/python.sh --print-environment)"; \
		scripts/python.sh scripts/mutate.py $(NAMED)

bench: build
	@scripts/packages.sh test
	@scripts/python.sh Benchmarks/bench.py --binary .build/release/highwater $(BENCH)

bench-fleet: build
	@scripts/packages.sh test
	@scripts/python.sh Benchmarks/fleet.py --binary .build/release/highwater $(BENCH)

bench-s3: build
	$(SWIFT) build -c release --static-swift-stdlib --product StoreBenchmark
	@scripts/packages.sh test
	@python3 Tests/S3Servers/servers.py up ceph rclone
	@scripts/python.sh Benchmarks/s3.py --binary .build/release/highwater \
		--store-benchmark .build/release/StoreBenchmark $(BENCH); \
		status=$$?; python3 Tests/S3Servers/servers.py down; exit $$status

bench-litestream: build
	@scripts/packages.sh test
	@scripts/python.sh Benchmarks/litestream.py --binary .build/release/highwater \
		--results .build/litestream/results.json --plot docs/benchmarks.svg $(BENCH)

install: $(if $(BINARY),,build)
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" \
		scripts/install.sh "$(or $(BINARY),.build/release/highwater)"

clean:
	rm -rf .build
