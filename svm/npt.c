/* SPDX-License-Identifier: MIT */
/* Nested page tables in the host's own format. AMD APM vol. 2, "Nested Paging". */
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "core/mem/tdp.h"
#include "svm/svm.h"

/* The processor walks nested tables with user accesses, and sets the accessed and dirty bits itself. */
#define NPT_BITS (PTE_PRESENT | PTE_WRITE | PTE_USER)

int npt_map(struct vm *vm, gpa_t gpa, hpa_t hpa, u64 size)
{
	const struct tdp_format format = {
		.table_bits = NPT_BITS,
		.page_bits = NPT_BITS,
		.large_bits = NPT_BITS,
		.largest = cpu_features.pages_1g ? TDP_1G : TDP_2M,
	};

	return tdp_map(vm, &format, gpa, hpa, size);
}
