#!/bin/sh
# welcome.sh EMAIL NAME: writes the mail that a mail server would be given.
set -eu
case $1 in
  *@*) ;;
  *) echo "no address: $1" >&2; exit 65 ;; # to the archive: trying again would not help
esac
mkdir -p "$CLIPS_DATA/outbox"
printf 'To: %s\nSubject: Welcome, %s\n' "$1" "$2" >"$CLIPS_DATA/outbox/$CELERIAC_TASK_ID"
