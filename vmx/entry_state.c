/* SPDX-License-Identifier: MIT */
/* What the rules of VM entry look at, read from the current VMCS and from this processor. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "lib/lapic.h"
#include "vmx/vmx.h"

/* The TRUE variant of a capability MSR, which lets the "default1" controls be 0. */
static u32 true_msr(u32 msr)
{
	return msr - MSR_VMX_PIN + MSR_VMX_TRUE_PIN;
}

static u64 read_msr(u32 msr)
{
	u64 value;

	return msr && !rdmsr_safe(msr, &value) ? value : 0;
}

/* CPUID.0AH: general counters from bit 0 on, fixed ones from bit 32 on. */
static u64 perf_valid_bits(void)
{
	struct cpuid_regs leaf = { 0 };
	unsigned general, fixed;

	if (cpu_features.max_leaf >= 10)
		leaf = cpuid(10);
	general = MIN(leaf.eax >> 8 & 0xff, 31u);
	fixed = leaf.edx & 0x1f;
	return (BIT_ULL(general) - 1) | (BIT_ULL(fixed) - 1) << 32;
}

static u64 features(void)
{
	struct cpuid_regs leaf;
	u64 found = 0;

	if (cpu_features.max_leaf < 7)
		return 0;
	leaf = cpuid(7);
	found |= leaf.ebx & BIT(2) ? VMX_FEATURE_SGX : 0;
	found |= leaf.ebx & BIT(11) ? VMX_FEATURE_RTM : 0;
	found |= leaf.ecx & BIT(24) ? VMX_FEATURE_BUS_LOCK : 0;
	if (leaf.eax >= 1 && (cpuid_count(7, 1).eax & BIT(26)))
		found |= VMX_FEATURE_LAM;
	return found;
}

/* From the virtual-APIC page, which the guest changes. L2 has another page, of L1's. */
static void read_vtpr(const struct vcpu *vcpu, struct vmx_entry_state *s)
{
	s->features &= ~(u64)VMX_FEATURE_VIRTUAL_TPR;
	if (vcpu->vm->apic_hardware == APIC_BY_SOFTWARE || vcpu->l2_runs)
		return;
	s->virtual_tpr = ((const u32 *)vcpu->vlapic)[LAPIC_TPR * 4];
	s->features |= VMX_FEATURE_VIRTUAL_TPR;
}

static void read_vmcs(struct vcpu *vcpu, struct vmx_entry_state *s)
{
	u64 *fields = (u64 *)s;

	for (unsigned i = 0; i < VMX_FIRST_PROCESSOR; i++)
		if (!vmread(vmx_field_number(i), &fields[i]))
			fields[i] = 0;
	s->current_vmcs = virt_to_phys(to_vmx(vcpu)->vmcs.page);
	read_vtpr(vcpu, s);
}

void vmx_entry_state_processor(struct vmx_entry_state *s)
{
	u64 *fields = (u64 *)s;

	for (unsigned i = VMX_FIRST_PROCESSOR; i < VMX_FIELDS; i++)
		fields[i] = read_msr(vmx_field_number(i));
	if (s->basic & BASIC_TRUE_CONTROLS) {
		s->allowed_pin = read_msr(true_msr(MSR_VMX_PIN));
		s->allowed_primary = read_msr(true_msr(MSR_VMX_PRIMARY));
		s->allowed_exit = read_msr(true_msr(MSR_VMX_EXIT));
		s->allowed_entry = read_msr(true_msr(MSR_VMX_ENTRY));
	}
	s->physical_bits = cpu_features.physical_address_bits;
	s->linear_bits = cpu_features.linear_address_bits;
	s->perf_valid = perf_valid_bits();
	s->features = features();
}

void vmx_entry_state_read(struct vcpu *vcpu, struct vmx_entry_state *s)
{
	vmx_entry_state_processor(s);
	read_vmcs(vcpu, s);
}

/* --- before every entry: only what has changed, so that the guest is slowed down little --- */

static struct vmx_entry_state next, passed;	/* `passed` is the last one that broke no rule */
static struct {
	u64 bits;	/* vmx_rule_bits() */
	u32 number;
	bool there;	/* the VMCS has this field */
} watched[VMX_FIRST_PROCESSOR];

static void list_fields(void)
{
	u64 value;

	vmx_entry_state_processor(&next);
	for (unsigned i = 0; i < VMX_FIRST_PROCESSOR; i++) {
		watched[i].bits = vmx_rule_bits(i);
		watched[i].number = vmx_field_number(i);
		watched[i].there = vmread(watched[i].number, &value);
	}
}

unsigned vmx_check_next_entry(struct vcpu *vcpu, violation_sink *sink, void *context)
{
	u64 *fields = (u64 *)&next, *before = (u64 *)&passed, changed;
	unsigned broken;

	if (!next.basic)
		list_fields();
	vmx_store_dirty_regs(vcpu);
	next.current_vmcs = virt_to_phys(to_vmx(vcpu)->vmcs.page);
	read_vtpr(vcpu, &next);
	changed = (next.current_vmcs ^ passed.current_vmcs) | (next.virtual_tpr ^ passed.virtual_tpr) |
		  (next.features ^ passed.features);
	for (unsigned i = 0; i < VMX_FIRST_PROCESSOR; i++) {
		if (!watched[i].there)
			continue;
		vmread(watched[i].number, &fields[i]);
		changed |= (fields[i] ^ before[i]) & watched[i].bits;
	}
	/* The rules look at nothing else: a state that passed once passes again. */
	if (!changed)
		return 0;
	broken = vmx_check_entry(&next, sink, context);
	if (!broken)
		passed = next;
	return broken;
}
