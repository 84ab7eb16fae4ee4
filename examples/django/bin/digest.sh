#!/bin/sh
# digest.sh: counts the mails of the week.
set -eu
ls "$CLIPS_DATA/outbox" 2>/dev/null | wc -l
