/* SPDX-License-Identifier: MIT */
/* Guest segment and descriptor-table registers in a form that does not depend on the vendor. */
#pragma once

#include "lib/types.h"

enum vcpu_segment { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

struct segment {
	u64 base;
	u32 limit;		/* bytes, granularity applied */
	u16 selector;
	u8 type;		/* descriptor type field, 4 bits */
	u8 dpl;
	bool s, present, avl, l, db, g;
	bool unusable;		/* null selector */
};

struct descriptor_table {
	u64 base;
	u16 limit;
};
