#!/bin/sh
# Fails (exit code 1) where a device is to be removed. Leaves the reports behind as artefacts, also when it fails.
#   RECORDINGS="recordings/*.yaml" PROFILE=us-federal-contractor sh check.sh
set -eu
profile=${PROFILE:-us-federal-contractor}
recordings=${RECORDINGS:-recordings/*.yaml}
out=${OUT:-reports}
mkdir -p "$out"
code=0
# shellcheck disable=SC2086 - several files are meant
lanveto identify $recordings --profile "$profile" --fail-on remove \
  --format html --output "$out/report.html" --bundle "$out/evidence.zip" || code=$?
case $code in
  0) echo "nothing is to be removed" ;;
  1) echo "devices are to be removed: see $out/report.html" ;;
  *) echo "the check could not be made (exit code $code): that is no pass" ;;
esac
exit "$code"
