#!/bin/sh
# Runs the example: run.sh PROGRAM CLIP OUT-FOLDER. See README.md; `./x demo` calls this.
set -eu

program=$1
clip=$2
out=$3
here=$(cd "$(dirname "$0")" && pwd -P)
work=$(mktemp -d)
up=

say() { printf '%s\n' "$*"; }
stop() {
    if [ -n "$up" ]; then
        kill "$up" 2>/dev/null || true
        wait "$up" || true
    fi
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

# Descriptor 9 is the lock that ./x holds: what ./x started must not outlive it with that.
"$program" up -c "$here/config.toml" --data-dir "$work/data" >"$work/up.log" 2>&1 9>&- &
up=$!
FRAMEGATE_DATA=$work/data
export FRAMEGATE_DATA

# Ready is what both roles call ready on their admin side.
ready() {
    python3 - "$FRAMEGATE_DATA/run.json" <<'END'
import json, sys, urllib.request
try:
    run = json.load(open(sys.argv[1]))
    for role in ("gateway", "orchestrator"):
        url = "http://%s/readyz" % run[role]["listen"]["admin"]
        urllib.request.urlopen(url, timeout=2).read()
except (OSError, KeyError, ValueError):
    sys.exit(1)
END
}
tries=0
until ready; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$up" 2>/dev/null; then
        cat "$work/up.log" >&2
        say "the roles did not become ready" >&2
        exit 1
    fi
    sleep 0.2
done

# Sound and timestamps stay; only key frames are added.
ffmpeg -v error -nostdin -y -i "$clip" -map 0:v:0 -map '0:a?' -c:v libx264 -preset veryfast -crf 12 \
    -force_key_frames 'expr:gte(t,n_forced)' -fps_mode passthrough -enc_time_base -1 -c:a copy \
    "$work/many.mp4"

# draw INPUT NAME: one live job.
draw() {
    "$program" run "$1" --pipeline sketch-video --report "$work/$2.json" -o "$work/$2-drawn.mp4" ||
        { code=$?; cat "$work/up.log" >&2; exit "$code"; }
}
say "== many segments: a key frame each second"
draw "$work/many.mp4" many
say
say "== as it is: $(basename "$clip")"
draw "$clip" one

tile='fps=1,scale=320:-2,tile=5x1:padding=4'
ffmpeg -v error -nostdin -y -i "$clip" -i "$work/many-drawn.mp4" -frames:v 1 -update 1 \
    -filter_complex "[0:v:0]$tile[before];[1:v:0]$tile[after];[before][after]vstack" "$work/sheet.png"

mkdir -p "$out"
python3 - "$work/many.json" "$work/one.json" >"$work/both.json" <<'END'
import json, sys
many, one = (json.load(open(path)) for path in sys.argv[1:])
json.dump({**many, "one_segment": one}, sys.stdout, indent=2)
END
mv -f "$work/many-drawn.mp4" "$out/demo.mp4"
mv -f "$work/sheet.png" "$out/demo.png"
mv -f "$work/both.json" "$out/demo.json"
say
say "see $out/demo.mp4, demo.png (before and after) and demo.json"
