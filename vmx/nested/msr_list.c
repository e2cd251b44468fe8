/* SPDX-License-Identifier: MIT */
/* L1's lists of MSRs for entries into L2 and exits to L1. Intel SDM, "Loading MSRs", "Saving MSRs". */
#include "core/cpu/msr.h"
#include "core/mem/guest_mem.h"
#include "vmx/nested/nested.h"

#define MSR_SMBASE 0x9e

/* SDM, "Miscellaneous Data": 512 entries at least. Lamina's IA32_VMX_MISC announces no more. */
#define MAX_ENTRIES 512u

u32 nested_load_msrs(struct vcpu *vcpu, gpa_t list, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		struct vmx_msr_entry entry;

		if (i >= MAX_ENTRIES || guest_read(vcpu->vm, list + i * sizeof(entry), &entry, sizeof(entry)) ||
		    nested_msr_entry_refused(vcpu, &entry, i + 1))
			return i + 1;
		if (msr_guest_write(vcpu, entry.index, entry.value)) {
			nested_msr_entry_tell(vcpu, &entry, i + 1);
			return i + 1;
		}
	}
	return 0;
}

/* x2APIC registers and SMM's MSRs cannot be stored. */
static bool may_be_stored(const struct vmx_msr_entry *entry)
{
	return !entry->reserved && entry->index >> 8 != 8 && entry->index != MSR_SMBASE;
}

int nested_store_msrs(struct vcpu *vcpu, gpa_t list, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		gpa_t at = list + i * sizeof(struct vmx_msr_entry);
		struct vmx_msr_entry entry;

		if (i >= MAX_ENTRIES || guest_read(vcpu->vm, at, &entry, sizeof(entry)) || !may_be_stored(&entry) ||
		    msr_guest_read(vcpu, entry.index, &entry.value) ||
		    guest_write(vcpu->vm, at + offsetof(struct vmx_msr_entry, value), &entry.value, sizeof(entry.value)))
			return -EINVAL;
	}
	return 0;
}
