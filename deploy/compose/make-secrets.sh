#!/bin/sh
# Makes the secrets of a cluster in containers, each once, each readable by who needs it alone.
# Run by the service `secrets` of deploy/compose.yaml, as root, without a network.
set -eu
umask 077

random() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

# FILE OWNER: what standard input holds, unless the file is there already.
keep() {
    if [ ! -s "$1" ]; then
        cat >"$1.new"
        chown "$2" "$1.new"
        mv "$1.new" "$1"
    fi
}

chmod 755 /secrets/server /secrets/postgres /secrets/grafana
random | keep /secrets/server/cluster.secret 10001:10001
random | keep /secrets/grafana/password 472:0
random | keep /secrets/postgres/password 999:999
printf 'postgres:5432:throng:throng:%s\n' "$(cat /secrets/postgres/password)" |
    keep /secrets/server/pgpass 10001:10001
