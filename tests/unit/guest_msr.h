/* SPDX-License-Identifier: MIT */
/* The handlers of a guest's MSRs, and what reached them: for the tests of RDMSR and WRMSR in the entry stubs. */
#pragma once

#include <string.h>

#include "core/cpu/msr.h"
#include "core/irqchip.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/errno.h"

static struct {
	unsigned reads, writes, of_apic;	/* of_apic: of these, the ones that went to the local APIC */
	u32 msr;
	u64 value, answer;
	int error;				/* what the handler returns */
	u32 request;				/* made by it */
	unsigned raised;			/* #GP(0)s */
} handler_of_msr;

int msr_guest_read(struct vcpu *v, u32 msr, u64 *value)
{
	handler_of_msr.reads++;
	handler_of_msr.msr = msr;
	if (!handler_of_msr.error)
		*value = handler_of_msr.answer;
	return handler_of_msr.error;
}

int msr_guest_write(struct vcpu *v, u32 msr, u64 value)
{
	handler_of_msr.writes++;
	handler_of_msr.msr = msr;
	handler_of_msr.value = value;
	if (handler_of_msr.request)
		vcpu_request(v, handler_of_msr.request);
	return handler_of_msr.error;
}

/* vcpu->vlapic is the vCPU itself. */
static int apic_msr_read(void *v, u32 msr, u64 *value)
{
	handler_of_msr.of_apic++;
	return msr_guest_read(v, msr, value);
}

static int apic_msr_write(void *v, u32 msr, u64 value)
{
	handler_of_msr.of_apic++;
	return msr_guest_write(v, msr, value);
}

void event_raise_error(struct vcpu *v, u8 vector, u32 error_code)
{
	assert_int_equal(vector, X86_GP);
	assert_int_equal(error_code, 0);
	assert_int_equal(v->events.reinject.type, EVENT_NONE);
	handler_of_msr.raised++;
	vcpu_request(v, REQ_EVENT);
}

static void attach_msrs(struct vm *vm)
{
	static const struct irqchip_ops irqchip = { .msr_read = apic_msr_read, .msr_write = apic_msr_write };

	memset(&handler_of_msr, 0, sizeof(handler_of_msr));
	vm->irqchip = &irqchip;
}
