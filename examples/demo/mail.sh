#!/usr/bin/env bash
#
# mail.sh ADDRESS: sends the welcome mail through $SMTP_URL.
#
# A task of celeriac.toml. The Message-ID is made of the task's id: if the mail is sent twice, mail
# servers and programs know it for the same mail.

set -euo pipefail

to=$1

# An address with a line break would add headers of its own. No repetition mends that: 65.
if [[ ! $to =~ ^[a-z0-9.+-]+@[a-z0-9.-]+$ ]]; then
  echo "not an address: $to" >&2
  exit 65
fi

curl --silent --show-error --max-time 10 --url "$SMTP_URL" \
  --mail-from welcome@demo.example --mail-rcpt "$to" --upload-file - <<MAIL
From: Celeriac demo <welcome@demo.example>
To: <$to>
Subject: Welcome
Date: $(date -R)
Message-ID: <$CELERIAC_TASK_ID@demo.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Hello!

This mail took attempt $CELERIAC_ATTEMPT to reach you. Whether or not the mail server was there when
you registered, it was never lost: between attempts it waited in RabbitMQ.
MAIL
