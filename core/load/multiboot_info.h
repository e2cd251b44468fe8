/* SPDX-License-Identifier: MIT */
/* Multiboot information, as both specifications have it in "Boot information format". */
#pragma once

#include "core/load/load.h"

/* What only the loader of the image knows. */
struct multiboot_facts {
	struct load_sections sections;
	bool relocatable;	/* then the information has load_base */
	u32 load_base;		/* the lowest address of the image */
};

/* Write the information; its address in *gpa. 0, or an error that was logged. */
int multiboot1_write_info(struct load *load, const struct multiboot_facts *facts, gpa_t *gpa);
int multiboot2_write_info(struct load *load, const struct multiboot_facts *facts, gpa_t *gpa);
