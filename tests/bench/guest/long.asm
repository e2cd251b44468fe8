; SPDX-License-Identifier: MIT
; The program for long mode, linked for the address that guest.ld gives this section.

	section .long progbits alloc exec write
	incbin LONG
