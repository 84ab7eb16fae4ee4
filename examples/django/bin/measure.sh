#!/bin/sh
# measure.sh PATH: prints how large a video is, and its digest, as JSON.
set -eu
if [ ! -s "$1" ]; then
  echo "the video is empty" >&2
  exit 65
fi
digest=$(sha256sum <"$1")
printf '{"bytes": %d, "sha256": "%s"}\n' "$(wc -c <"$1")" "${digest%% *}"
