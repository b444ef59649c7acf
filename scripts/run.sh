#!/usr/bin/env bash
# `make run`: replicates a database into a folder until Ctrl-C.
# Usage: scripts/run.sh [DB] [STORE FOLDER]; without DB a sample database with a live writer.
set -euo pipefail
cd "$(dirname "$0")/.."

binary=${HIGHWATER_BINARY:-.build/release/highwater}
database=${1:-}
store=${2:-}

# The folder as a URL; the characters that mean something in one are escaped.
store_url() {
    printf 'file://%s' "$(realpath -m "$1" | sed 's/%/%25/g; s/ /%20/g; s/?/%3F/g; s/#/%23/g')"
}

if [[ -n "$database" ]]; then
    store=${store:-highwater-backup}
    mkdir -p "$store"
    url=$(store_url "$store")
    cat <<TEXT
Backing up $database into $store, commit by commit. Ctrl-C stops after a last upload.
In another terminal:
  $binary history $url
  $binary restore -o restored.db $url
TEXT
    if [[ -n "${RUN_SECONDS:-}" ]]; then
        exec timeout --preserve-status --signal=TERM "$RUN_SECONDS" \
            "$binary" replicate "$database" "$url"
    fi
    exec "$binary" replicate "$database" "$url"
fi

# The sample: one table, one writer that commits twice a second, until `running` is removed.
folder=.build/sample
rm -rf "$folder" && mkdir -p "$folder"
database=$folder/app.db
running=$folder/running
store=${store:-$folder/backup}
mkdir -p "$store"
url=$(store_url "$store")
sqlite3 "$database" 'PRAGMA journal_mode=WAL;
    CREATE TABLE orders(id INTEGER PRIMARY KEY, placed TEXT, item TEXT, amount REAL);' >/dev/null
touch "$running"

write_orders() {
    while [[ -e "$running" ]]; do
        echo "INSERT INTO orders(placed, item, amount) VALUES(strftime('%Y-%m-%dT%H:%M:%fZ'),
              'item ' || abs(random() % 100), round(abs(random() % 10000) / 100.0, 2));"
        sleep 0.5
    done | sqlite3 -cmd '.timeout 5000' "$database"
}
newest() { "$binary" history "$url" 2>/dev/null | tail -n 1 || true; }
report() {
    local tick=0
    while sleep 1 && [[ -e "$running" ]]; do
        tick=$((tick + 1))
        [[ $((tick % 5)) -eq 0 ]] || continue
        orders=$(sqlite3 -readonly "$database" 'SELECT count(*) FROM orders' 2>/dev/null || true)
        echo "sample: ${orders:-0} orders in app.db; newest commit in the backup: $(newest)"
    done
}

cat <<TEXT
A sample: $database gets two commits a second, and each one is stored in
$store. Ctrl-C stops. Your own database: make run DB=path/to/app.db
TEXT
write_orders &
report &
# In a session of its own the terminal's Ctrl-C does not reach the agent a second time.
setsid "$binary" replicate "$database" "$url" &
agent=$!
stop_agent() { kill -TERM "$agent" 2>/dev/null || true; }
trap stop_agent INT TERM
[[ -n "${RUN_SECONDS:-}" ]] && { sleep "$RUN_SECONDS" && stop_agent; } &
status=0
wait "$agent" || status=$?
# A signal ends `wait` early: the agent is still making its last upload.
while kill -0 "$agent" 2>/dev/null; do wait "$agent" && status=0 || status=$?; done
rm -f "$running"
cat <<TEXT

The backup stays in $store. What it holds, and how to get it back:
  $binary history $url
  $binary restore -o restored.db $url              # the newest commit
  $binary restore -o earlier.db -txid N $url       # any commit that history lists
  sqlite3 restored.db 'SELECT count(*) FROM orders'
TEXT
wait
exit "$status"
