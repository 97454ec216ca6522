#!/bin/sh
# Builds the packages of this source tree into dist/: `build.sh deb BUNDLE` or `build.sh rpm BUNDLE`. The bundle is what
# packaging/tools/bundle.py has gathered; no network is used from here on.
set -eu
umask 022

kind=$1
bundle=$(realpath "$2")
cd "$(dirname "$0")/.."
root=$PWD
words=$(python3 packaging/tools/release.py)
eval "$words"
work=$root/build/$kind
rm -rf "$work"
mkdir -p "$work" dist
export OCG_BUNDLE="$bundle" OCG_BUILD_KIND="$kind"

.venv/bin/python -m hatchling build -t sdist -d "$work" >/dev/null
tar -C "$work" -xf "$work"/ocg-*.tar.gz
source=$(find "$work" -mindepth 1 -maxdepth 1 -type d)

if [ "$kind" = deb ]; then
    cp -R packaging/deb "$source/debian"
    python3 packaging/tools/changelog.py "$source/debian" --version "$OCG_VERSION" --date "$SOURCE_DATE_EPOCH"
    (cd "$source" && dpkg-buildpackage --build=binary --unsigned-changes --no-check-builddeps)
    rm -f dist/*.deb
    mv "$work"/*.deb "$work"/*.changes "$work"/*.buildinfo dist/
fi
