#!/bin/bash
# Requests a slice of TPUs, requests it again after each pre-emption, and deletes it when the search is complete. Run it on
# a machine that stays on; stopped and started again it goes on.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
: "${IMAGE:?HOST/PROJECT/REPOSITORY/infantjax:tpu}" "${COHORT:?gs:// folder of recordings}" "${OUTPUT:?gs:// folder}"
: "${ZONE:?zone}" "${ACCOUNT:?email of a service account that may read COHORT, write OUTPUT and pull IMAGE}"
name=${NAME:-infantjax}
resources=(gcloud compute tpus queued-resources)

request() {
    "${resources[@]}" create "$name" --node-id="$name" --zone="$ZONE" --spot --internal-ips \
        --accelerator-type="${ACCELERATOR:-v5litepod-8}" --runtime-version="${RUNTIME:-v2-alpha-tpuv5-lite}" \
        --service-account="$ACCOUNT" --scopes=cloud-platform --metadata-from-file="startup-script=$here/startup.sh" \
        --metadata="infantjax-image=$IMAGE,infantjax-cohort=$COHORT,infantjax-output=$OUTPUT"
}

until gcloud storage ls "$OUTPUT/complete" >/dev/null 2>&1; do
    # A question without an answer is asked again; an empty answer says that there is no such request.
    if state=$("${resources[@]}" list --zone="$ZONE" --filter="name~/$name\$" --format="value(state.state)"); then
        echo "$(date --iso-8601=seconds) ${state:-none}"
        case $state in
        "") request ;;
        SUSPENDED) "${resources[@]}" delete "$name" --zone="$ZONE" --force --quiet ;;
        FAILED) exit 1 ;;
        esac
    fi
    sleep "${POLL:-60}"
done
"${resources[@]}" delete "$name" --zone="$ZONE" --force --quiet
