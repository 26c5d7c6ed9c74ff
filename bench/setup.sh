#!/bin/bash
# Prepares the benchmark: builds the generator, makes the certificate, the 1,000 users and Postfix's maps.
# Everything but the generator goes to BENCH_WORK (default /var/tmp/smtpbench: choose a real disk).
set -euo pipefail
cd "$(dirname "$0")"
work=${BENCH_WORK:-/var/tmp/smtpbench}

"${CC:-gcc}" -O2 -pthread -o smtpbench src/smtpbench.c -lssl -lcrypto

mkdir -p "$work"
chmod 755 "$work"

if [ ! -s "$work/ec.pem" ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
    -subj /CN=relay.bench.test -addext subjectAltName=DNS:relay.bench.test \
    -keyout "$work/ec.key" -out "$work/ec.pem" 2>/dev/null
  chmod 600 "$work/ec.key"
fi

if [ ! -s "$work/users.txt" ]; then
  for i in $(seq 0 999); do printf 'u%04d@bench.test secret%04d\n' "$i" "$i"; done > "$work/users.txt"
fi

# Postfix: who may send as whom, and the passwords.
if command -v postmap >/dev/null; then
  awk '{print $1" "$1}' "$work/users.txt" > "$work/login_maps"
  mkdir -p "$work/empty"
  : > "$work/empty/main.cf"
  : > "$work/empty/master.cf"
  postmap -c "$work/empty" "lmdb:$work/login_maps"
else
  echo "postmap not found: the postfix peer will not run" >&2
fi
if ! command -v saslpasswd2 >/dev/null; then
  echo "saslpasswd2 not found: the postfix peer will not run" >&2
elif [ ! -s "$work/sasldb2" ]; then
  while read -r user password; do
    printf %s "$password" | saslpasswd2 -p -c -f "$work/sasldb2.new" -u bench.test "${user%@*}"
  done < "$work/users.txt"
  chmod 644 "$work/sasldb2.new"
  mv "$work/sasldb2.new" "$work/sasldb2"
fi
echo "ready: $work"
