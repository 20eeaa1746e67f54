#!/bin/sh
# Bring mermaid, which draws the diagrams of the documentation's site, so that no reader's browser
# fetches it from elsewhere. npm only downloads it; nothing of it is installed or run here.
# Usage: get_mermaid.sh FILE. What is there already and is the pinned one is kept.
set -eu

file=$1
version=11.12.0
sum=07e37dfa97b337ccc85365d57eddf99b9706f09db3b59b260d0333b23b343c4b

say() { printf 'mermaid: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
is_pinned() { [ -f "$1" ] && printf '%s  %s\n' "$sum" "$1" | sha256sum --check --status; }

is_pinned "$file" && exit 0
command -v npm >/dev/null 2>&1 || die "npm is needed to download it (Debian: apt-get install npm)"
mkdir -p "$(dirname "$file")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "mermaid@$version" >npm.log 2>&1 &&
    tar -xzf "mermaid-$version.tgz" package/dist/mermaid.min.js) || {
    tail -n 5 "$work/npm.log" >&2
    die "version $version could not be downloaded (above)"
}
is_pinned "$work/package/dist/mermaid.min.js" || die "version $version is not the file that is pinned"
mv "$work/package/dist/mermaid.min.js" "$file"
