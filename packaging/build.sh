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
work=$root/.make/$kind.build
rm -rf "$work"
mkdir -p "$work" dist
rm -f dist/*."$kind"
[ "$kind" = rpm ] || rm -f dist/*.changes dist/*.buildinfo
export OCG_BUNDLE="$bundle" OCG_BUILD_KIND="$kind"

.venv/bin/python -m hatchling build -t sdist -d "$work" >/dev/null
archive=$(basename "$work"/ocg-*.tar.gz)
tar -C "$work" -xf "$work/$archive"
source=$work/${archive%.tar.gz}

case $kind in
deb)
    cp -R packaging/deb "$source/debian"
    python3 packaging/tools/changelog.py "$source/debian" --version "$OCG_VERSION" --date "$SOURCE_DATE_EPOCH"
    (cd "$source" && dpkg-buildpackage --build=binary --unsigned-changes --no-check-builddeps)
    mv "$work"/*.deb "$work"/*.changes "$work"/*.buildinfo dist/
    ;;
rpm)
    mkdir -p "$work/SOURCES"
    mv "$work/$archive" "$work/SOURCES/"
    cp packaging/systemd/ocg.sysusers.conf "$work/SOURCES/"
    python3 packaging/tools/changelog.py "$work/SOURCES" --version "$OCG_VERSION" --date "$SOURCE_DATE_EPOCH"
    rpmbuild -bb --define "_topdir $work" --define "ocg_version $OCG_VERSION" --define "ocg_bundle $bundle" \
        --define "ocg_source ${archive%.tar.gz}" packaging/rpm/ocg.spec
    mv "$work"/RPMS/*/*.rpm dist/
    ;;
esac
