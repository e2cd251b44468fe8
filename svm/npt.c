/* SPDX-License-Identifier: MIT */
/* Nested page tables in the host's own format. AMD APM vol. 2, "Nested Paging". */
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "core/mem/tdp.h"
#include "svm/svm.h"

/* The processor walks nested tables with user accesses, and sets the accessed and dirty bits itself. */
#define NPT_BITS (PTE_PRESENT | PTE_WRITE | PTE_USER)

void npt_format(const struct vm *vm, struct tdp_format *format)
{
	*format = (struct tdp_format){
		.table_bits = NPT_BITS,
		.page_bits = NPT_BITS,
		.large_bits = NPT_BITS,
		.largest = cpu_features.pages_1g ? TDP_1G : TDP_2M,
	};
}
