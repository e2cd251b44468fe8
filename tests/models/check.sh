#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Check the models with spin: each as it is, which must have no error, and each of its broken variants, which must
# have one, so that a model that finds nothing is noticed. A variant is a macro BROKEN_<name>; the names are in
# the comment "broken:" at a model's head.
# Usage: check.sh FOLDER [MODEL]...
#	FOLDER: where the verifiers are built; MODEL: kick, park ...; default: all.
set -u

here=$(cd "$(dirname "$0")" && pwd)
out=$1
shift
mkdir -p "$out"
[ $# -gt 0 ] || set -- $(cd "$here" && ls ./*.pml | sed 's|^\./||; s|\.pml$||')
: "${LIMIT:=60}"	# seconds of processor time for each verifier

# verify MODEL VARIANT: leaves the report in $report; not 0 if there is none.
verify()
{
	work=$out/$1-$2
	report=$work/report
	rm -rf "$work"
	mkdir -p "$work"
	(cd "$work" && spin "-DBROKEN_$2" -a "$here/$1.pml" >spin.log 2>&1 && [ -f pan.c ] &&
		gcc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=2048 -o pan pan.c &&
		ulimit -t "$LIMIT" && ./pan -m100000 -c1 >report 2>&1)
	if ! grep -q '^State-vector' "$report" 2>/dev/null; then
		echo "check-models: $1 $2: no result, or not in $LIMIT seconds" >&2
		return 1
	fi
	! grep -qE 'out of memory|max search depth too small|resource limit' "$report"
}

errors()
{
	sed -n 's/.*errors: \([0-9]*\).*/\1/p' "$report"
}

bad=0 models=0 variants=0
for model; do
	names=$(sed -n 's/^ \* broken: *\(.*\)$/\1/p' "$here/$model.pml")
	if ! verify "$model" nothing || [ "$(errors)" != 0 ]; then
		echo "check-models: $model: an error, or not verified:" >&2
		tail -n 25 "$out/$model-nothing/spin.log" "$out/$model-nothing/report" >&2
		bad=1
	fi
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$report" 2>/dev/null)
	found=0
	for name in $names; do
		grep -q "BROKEN_$name\>" "$here/$model.pml" || { echo "check-models: $model has no BROKEN_$name" >&2; bad=1; }
		if verify "$model" "$name" && [ "$(errors)" -gt 0 ]; then
			found=$((found + 1))
		else
			echo "check-models: $model: BROKEN_$name goes unnoticed" >&2
			bad=1
		fi
		variants=$((variants + 1))
	done
	[ -n "$names" ] || { echo "check-models: $model has no broken variant" >&2; bad=1; }
	echo "check-models: $model: ${states:-no} states; $found broken variants found"
	models=$((models + 1))
done
echo "check-models: $models models, $variants broken variants"
[ $bad = 0 ] && [ $models -gt 0 ]
