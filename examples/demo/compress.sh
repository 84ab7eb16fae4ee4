#!/usr/bin/env bash
#
# compress.sh INPUT HEIGHT OUTPUT: a smaller rendition of a video.
#
# A task of celeriac.toml. Nothing is to be seen under the name OUTPUT before it is complete, and
# running again replaces it: whoever kills this script, at any moment, the task can run again.

set -euo pipefail

input=$1 height=$2 output=$3
part=$output.$$.part
trap 'rm -f "$part"' EXIT

# For the demo alone: who began which task. $$ is the process group that a lost worker leaves.
echo "$CELERIAC_TASK_ID $$" >>"${output%/*}/started"

seconds=$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$input")
total=$(LC_ALL=C printf '%.0f' "${seconds}e6")

# ffmpeg writes key=value lines; out_time_us is how far it is, in microseconds of the video.
report() {
  while IFS='=' read -r key value; do
    if [[ $key = out_time_us && $value =~ ^[0-9]+$ && $value -lt $total ]]; then
      printf '::progress 0.%03d %sp\n' $((value * 1000 / total)) "$height" >&2
    fi
  done
}

ffmpeg -nostdin -y -loglevel error -stats_period 0.2 -progress pipe:1 -i "$input" \
  -vf "scale=-2:$height" -c:v libx264 -preset veryfast -crf 28 -threads 1 -c:a aac -f mp4 "$part" |
  report

mv "$part" "$output"
stat -c %s "$output"
