#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Make an ext4 image with Debian 12 as a root file system for guests: systemd, OpenSSH, iproute2, fio, iperf3, the
# modules of the guests' kernel, and the files in root/. root has no password on the serial line; over the network
# a key made here logs in: OUTPUT.key. Each run makes new keys.
# Usage: root.sh OUTPUT MODULES_TAR. Works as root, or as a user who may become root.
set -eu

. "$(dirname "$(realpath "$0")")/../debian.sh"

output=$1 modules=$2
here=$(dirname "$(realpath "$0")")
if [ "$(id -u)" != 0 ]; then
	as_root "$0" "$output" "$modules"
	as_root chown "$(id -u):$(id -g)" "$output" "$output.key" "$output.key.pub"
	exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"		# apt's own user reads there

command -v mmdebstrap >/dev/null 2>&1 || fail "mmdebstrap is missing: install Debian's package of this name"
[ -n "$(mirror)" ] || update_lists
suite_mirrors bookworm > "$work/mirrors"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keys" ] || fail "$keys is missing: install debian-archive-keyring"
sed "s,^,deb [signed-by=$keys] ," "$work/mirrors" | sed 's/$/ main/' > "$work/sources.list"

# Documentation and translations are left out.
mmdebstrap --quiet --variant=minbase --format=directory \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/info/*' \
	--include=systemd-sysv,udev,kmod,iproute2,iputils-ping,openssh-server,openssh-client,e2fsprogs \
	--include=procps,fio,iperf3,stress,bzip2 \
	bookworm "$work/root" "$work/sources.list"

root=$work/root
tar -C "$root/usr" -xf "$modules"
for version in "$root"/usr/lib/modules/*; do
	chroot "$root" depmod "$(basename "$version")"
done
cp -r "$here/root/." "$root/"
find "$here/root" -type f | sed "s,^$here/root,$root," | while read -r file; do
	chown 0:0 "$file"
done

echo debian > "$root/etc/hostname"
rm -f "$root/etc/machine-id" "$root/etc/ssh/ssh_host_"*
: > "$root/etc/machine-id"
printf '/dev/vda / ext4 errors=remount-ro 0 1\n' > "$root/etc/fstab"
chroot "$root" passwd -q -d root
chroot "$root" systemctl -q enable systemd-networkd ssh
chroot "$root" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
	e2scrub_reap.service fstrim.timer getty@tty1.service getty-static.service iperf3.service systemd-timesyncd.service

rm -f "$output.key" "$output.key.pub"
ssh-keygen -q -t ed25519 -N '' -C 'test guests' -f "$output.key"
ssh-keygen -q -t ed25519 -N '' -C 'test guests' -f "$root/etc/ssh/ssh_host_ed25519_key"
# The guests know each other: one key for logging in, and one host key for all.
mkdir -p "$root/root/.ssh"
chmod 700 "$root/root/.ssh"
cp "$output.key" "$root/root/.ssh/id_ed25519"
cp "$output.key.pub" "$root/root/.ssh/authorized_keys"
echo "* $(cut -d' ' -f1,2 < "$root/etc/ssh/ssh_host_ed25519_key.pub")" > "$root/root/.ssh/known_hosts"
chmod 600 "$root/root/.ssh/"*

find "$root/dev" -mindepth 1 -delete
rm -rf "$root/var/cache/apt/"* "$root/var/lib/apt/lists/"* "$root/var/log/"*.log "$root/tmp/"*
# Some space for the guests themselves, and what the file system needs.
size=$(du -sm "$root" | cut -f1)
rm -f "$output.new"
mkfs.ext4 -q -L root -m 0 -O ^has_journal -E lazy_itable_init=0 -N 65536 -d "$root" "$output.new" $((size * 108 / 100 + 64))M
tune2fs -O has_journal -J size=8 "$output.new" >/dev/null
mv "$output.new" "$output"
