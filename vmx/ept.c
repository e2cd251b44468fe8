/* SPDX-License-Identifier: MIT */
/* Extended page tables, four levels. Intel SDM, "The Extended Page Table Mechanism (EPT)". */
#include "arch/fault/panic.h"
#include "core/mem/tdp.h"
#include "vmx/vmx.h"

#define EPT_RWX	       7ull
#define EPT_EXECUTE    BIT_ULL(2)
#define EPT_TYPE_WB    (6ull << 3)
#define EPT_IGNORE_PAT BIT_ULL(6)

/*
 * RAM is write-back whatever the guest's PAT says: Lamina maps it write-back as well, and devices
 * access it coherently with the caches.
 */
#define EPT_PAGE (EPT_RWX | EPT_TYPE_WB | EPT_IGNORE_PAT)

#define EPTP_TYPE_WB 6ull
#define EPTP_WALK_4  (3ull << 3)

/* Large pages without execute permission: vmx/ept_code.c. */
void ept_format(const struct vm *vm, struct tdp_format *format)
{
	*format = (struct tdp_format){
		.table_bits = EPT_RWX,
		.page_bits = EPT_PAGE,
		.large_bits = vm->tdp_reserve ? EPT_PAGE & ~EPT_EXECUTE : EPT_PAGE,
		.largest = vmx_caps.ept_vpid & EPT_PAGES_1G ? TDP_1G :
			   vmx_caps.ept_vpid & EPT_PAGES_2M ? TDP_2M : TDP_4K,
	};
}

u64 ept_pointer_to(hpa_t root)
{
	return root | EPTP_TYPE_WB | EPTP_WALK_4;
}

u64 ept_pointer(const struct vm *vm)
{
	return ept_pointer_to(vm->tdp_root);
}

/* SDM, "INVEPT - Invalidate Translations Derived from EPT" */
void ept_invalidate(u64 pointer)
{
	const struct {
		u64 eptp, reserved;
	} descriptor = { pointer, 0 };
	const u64 single = INVEPT_SINGLE, all = INVEPT_ALL;
	bool done;

	__asm__ volatile("invept %1, %2"
			 : "=@cca"(done)
			 : "m"(descriptor),
			   "r"(vmx_caps.ept_vpid & EPT_INVEPT_SINGLE ? single : all)
			 : "memory");
	BUG_ON(!done);
}

void ept_flush(const struct vm *vm)
{
	ept_invalidate(ept_pointer(vm));
}
