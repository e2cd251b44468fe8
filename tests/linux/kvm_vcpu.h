/* SPDX-License-Identifier: MIT */
/* What the programs that run a VM by KVM share: kvm_linux.c, bench/peers/kvm.c. Each has its own stop(). */
#pragma once

#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static void stop(const char *what);

static int need(int result, const char *what)
{
	if (result < 0)
		stop(what);
	return result;
}

/* All features that KVM supports, and the timer that it implements itself. */
static void set_cpuid(int kvm, int vcpu)
{
	enum { ENTRIES = 200 };
	struct kvm_cpuid2 *table = calloc(1, sizeof(*table) + ENTRIES * sizeof(table->entries[0]));

	table->nent = ENTRIES;
	need(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, table), "KVM_GET_SUPPORTED_CPUID");
	for (unsigned i = 0; i < table->nent; i++) {
		if (table->entries[i].function == 1)
			table->entries[i].ecx |= 1u << 24 | 1u << 31;	/* TSC deadline, hypervisor */
	}
	need(ioctl(vcpu, KVM_SET_CPUID2, table), "KVM_SET_CPUID2");
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.selector = selector, .type = type, .limit = ~0u, .present = 1, .s = 1, .db = 1, .g = 1,
	};
}
