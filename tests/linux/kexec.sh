#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Make a cpio archive, to be loaded behind the initramfs, with Debian's kexec and its libraries in /kexec;
# /kexec/run starts it. They are fetched as packages and never installed.
# Usage: kexec.sh OUTPUT
set -eu
. "$(dirname "$0")/../debian.sh"

need_apt "kexec comes"
output=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fetch_closure kexec-tools '^(kexec-tools|libxen|libyajl)' root

umask 022
mkdir -p archive/kexec
cp root/sbin/kexec archive/kexec/
LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu ldd root/sbin/kexec | grep -o '[^ ]*/[^ ]*' | while read -r library; do
	cp -L "$library" archive/kexec/
done
cat > archive/kexec/run <<'END'
#!/bin/sh
exec /kexec/ld-linux-x86-64.so.2 --library-path /kexec /kexec/kexec "$@"
END
chmod 755 archive/kexec/run
find archive -exec touch -h -d @0 {} +
(cd archive && find kexec | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet) > "$output.new"
mv "$output.new" "$output"
