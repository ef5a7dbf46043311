#!/bin/bash
# Runs as root on each host of a TPU slice when it starts: fetches the cohort and what an earlier slice saved, searches, and
# saves every five minutes and at the end. `keep.sh` hands it over with its settings, as metadata of the slice.
set -euo pipefail
umask 077
work=${WORK:-/var/lib/infantjax}
every=${SAVE_EVERY:-300}

attribute() {
    curl -sSf -H "Metadata-Flavor: Google" "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}
image=$(attribute infantjax-image)
cohort=$(attribute infantjax-cohort)
output=$(attribute infantjax-output)
number=$(attribute agent-worker-number)

# The files are saved before the database: it names no file that the bucket lacks. A copy of it is whole at any time.
save() {
    local copied=
    if [[ $number == 0 && -f $work/search/search.db ]]; then
        python3 - "$work/search/search.db" "$work/copy.db" <<'PYTHON'
import sqlite3, sys
source, target = map(sqlite3.connect, sys.argv[1:])
source.backup(target)
PYTHON
        copied=yes
    fi
    gcloud storage rsync --recursive --exclude='(^|.*/)search\.db.*|.*\.lock$' "$work/search" "$output"
    if [[ $copied ]]; then gcloud storage cp "$work/copy.db" "$output/search.db"; fi
}

mkdir -p "$work"/{cohort,search}
gcloud storage rsync --recursive "$cohort" "$work/cohort"
gcloud storage rsync --recursive "$output" "$work/search"
chown -R 10001:10001 "$work/cohort" "$work/search"
gcloud auth configure-docker "${image%%/*}" --quiet
docker pull --quiet "$image"

# A container reaches TPUs only if it is privileged and has the network of its host; its user is still not root.
docker run --rm --name infantjax --privileged --network host --user 10001:10001 --read-only --tmpfs /tmp:exec \
    --volume "$work/cohort:/data:ro" --volume "$work/search:/search" --env TPU_PROCESS_BOUNDS=1,1,1 \
    "$image" search /data -o /search --distributed auto >>"$work/search/host-$number.log" 2>&1 &
search=$!
# Google Cloud announces the end of a pre-empted slice by a shutdown: this script gets SIGTERM, and so does the search.
trap 'docker stop --time 20 infantjax || true; save; exit 143' TERM

while kill -0 "$search" 2>/dev/null; do
    sleep "$every" &
    wait -n "$search" $! || true
    kill $! 2>/dev/null || true
    save
done
if wait "$search" && [[ $number == 0 ]]; then echo complete | gcloud storage cp - "$output/complete"; fi
