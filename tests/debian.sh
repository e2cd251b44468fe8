# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Fetch Debian's packages and unpack them, without installing any. To be sourced, with `set -eu`, by the scripts that
# fetch guests, emulators and hypervisors. There are two ways: by the system's own package lists, or by private ones,
# for suites and architectures that the system does not know; of the system only its mirror counts then.

fail()
{
	echo "$0: $*" >&2
	exit 1
}

# need_apt WORDS: stop if this system cannot fetch packages; the words say what for.
need_apt()
{
	command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 ||
		fail "$* from Debian's packages, and this system has no apt-get"
}

# as_root PROGRAM ARGUMENT...
as_root()
{
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Fetch the system's package lists again.
update_lists()
{
	as_root apt-get update -q
}

# unpack FOLDER: all packages in the present folder, into that one.
unpack()
{
	for package in ./*.deb; do
		dpkg-deb -x "$package" "$1"
	done
}

# --- by the system's package lists ---

# depends PACKAGE PREFIX: the first package with that prefix that it depends on, as a name without a version does.
depends()
{
	apt-cache depends "$1" 2>/dev/null | sed -n "s/^ *Depends: \($2.*\)\$/\1/p" | head -n 1
}

# download PACKAGE...: into the present folder. _apt, apt-get's own user, may not be allowed to write there.
download()
{
	apt-get -q -o APT::Sandbox::User=root download "$@"
}

# closure PACKAGE PATTERN: of the package and all that it depends on, those whose names match the extended regular expression.
closure()
{
	apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
		--no-enhances "$1" 2>/dev/null | grep -E "$2" | sort -u
}

# fetch_closure PACKAGE PATTERN FOLDER: into the present folder, and unpacked into that one.
fetch_closure()
{
	[ -n "$(closure "$1" "$2")" ] || update_lists
	# shellcheck disable=SC2046
	download $(closure "$1" "$2") >/dev/null
	unpack "$3"
}

# --- by private ones ---

# The mirror that this system fetches Debian's packages from.
mirror()
{
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' \
		2>/dev/null | grep -v -e '-security/*$' | head -n 1
}

# suite_mirrors SUITE: where this system fetches the suite and its security updates from: lines of an address and a suite. An
# older system, or a newer one, may know other suites only: then its mirror without the updates.
suite_mirrors()
{
	known=$(apt-get indextargets --format '$(REPO_URI) $(SUITE)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' \
		2>/dev/null | grep -E " $1(-security)?\$" | sort -u)
	if ! echo "$known" | grep -q " $1\$"; then
		uri=$(mirror)
		[ -n "$uri" ] || fail "none of this system's package sources is Debian's"
		known="$uri $1"
	fi
	echo "$known"
}

# configure_private FOLDER ARCHITECTURES SUITES: make the configuration for private(), in the folder, which stays the
# caller's. Both lists have commas. No package counts as installed: a caller may write others to FOLDER/status.
configure_private()
{
	apt=$1
	uri=$(mirror)
	[ -n "$uri" ] || update_lists
	[ -n "$uri" ] || uri=$(mirror)
	[ -n "$uri" ] || fail "none of this system's package sources is Debian's"
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -e "$keys" ] || fail "$keys is missing: install debian-archive-keyring"
	mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
	: > "$apt/status"
	echo "$3" | tr , '\n' | sed "s|.*|deb [arch=$2 signed-by=$keys] $uri & main|" > "$apt/sources.list"
	cat > "$apt/apt.conf" <<-END
		#clear APT::Architectures;
		APT::Architecture "${2%%,*}";
		APT::Architectures { "$(echo "$2" | sed 's/,/"; "/g')"; };
		APT::Sandbox::User "root";
		APT::Update::Error-Mode "any";
		Acquire::Languages "none";
		Dir::State "$apt/state";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt/cache";
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
	END
}

# private PROGRAM ARGUMENT...: one of apt's programs with that configuration. The system's settings for reaching a mirror
# still apply.
private()
{
	program=$1
	shift
	"$program" -q -c "$apt/apt.conf" "$@"
}
