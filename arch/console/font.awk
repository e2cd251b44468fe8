# SPDX-License-Identifier: MIT
#
# Makes the table of arch/console/font.c from the drawn glyphs (arch/console/font.txt): 12 bytes a glyph.

/^;/ || NF == 0 {
	row = 0
	next
}

{
	if (row == 0) {
		first = glyphs
		glyphs += NF
	}
	for (i = 1; i <= NF; i++) {
		byte = 0
		for (x = 1; x <= 7; x++)
			byte = 2 * byte + (substr($i, x, 1) == "#")
		rows[first + i - 1] = rows[first + i - 1] sprintf(" 0x%02x,", 2 * byte)
		if (length($i) != 7 || $i ~ /[^.#]/)
			wrong = 1
	}
	if (++row > 12)
		wrong = 1
}

END {
	if (wrong || glyphs != 95 || row != 12) {
		print "arch/console/font.txt: expected 95 glyphs of 7 times 12 pixels" > "/dev/stderr"
		exit 1
	}
	for (i = 0; i < glyphs; i++)
		print "{" rows[i] " },"
}
