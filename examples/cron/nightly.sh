#!/bin/sh
# One scan a night, one dated report each; cron mails what stands on standard output and error.
# crontab:  17 2 * * *  TARGETS="192.0.2.0/24" REPORTS=/var/lib/lanveto/reports /usr/local/bin/nightly.sh
set -eu
: "${TARGETS:?name the networks to scan, e.g. TARGETS=192.0.2.0/24}"
reports=${REPORTS:-$HOME/lanveto-reports}
profile=${PROFILE:-us-federal-contractor}
umask 077
mkdir -p "$reports"
file=$reports/$(date +%F).html
code=0
# shellcheck disable=SC2086 - several targets and options are meant
lanveto scan $TARGETS ${OPTIONS:-} --quiet --profile "$profile" --fail-on remove \
  --format html --output "$file" --bundle "${file%.html}.zip" || code=$?
case $code in
  0) ;; # nothing to say
  1) echo "lanveto: devices are to be removed: $file" ;;
  3) echo "lanveto: the scan was not completed; what it did not see is in $file" ;;
  *) echo "lanveto: failed with exit code $code" ;;
esac
# Reports older than two years go.
find "$reports" -name '????-??-??.*' -mtime +730 -delete
exit "$code"
