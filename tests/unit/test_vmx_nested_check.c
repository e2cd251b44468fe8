/* SPDX-License-Identifier: MIT */
/*
 * What a guest hypervisor is offered, and how its VM entries are checked with it: Intel SDM, "VMX Capability Reporting
 * Facility", "VM Entries", "VM-Entry Failures During or After Loading Guest State".
 */
/* link: vmx/nested/caps.c vmx/nested/check.c vmx/nested/region.c vmx/nested/vmcs12.c core/observe/entry_rule.c */
/* link: vmx/rules/rules.c vmx/rules/rule.c vmx/rules/controls.c vmx/rules/host.c vmx/rules/guest.c */
/* link: vmx/rules/segments.c vmx/rules/nonregister.c vmx/rules/msr.c lib/string.c */
/* link: core/cpu/control.c core/vcpu.c tests/unit/fake_vcpu.c */
#include "fake_vcpu.h"

#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "tests/unit/vmx_entry_states.h"
#include "vmx/nested/nested.h"

#define REGION	     0x5000ull
#define OTHER_REGION 0x6000ull
#define VIRTUAL_APIC 0x7000ull

struct vmx_caps vmx_caps;

void nested_hyperv_cpuid(const struct vcpu *v, u32 leaf, struct cpuid_regs *regs) { }
int nested_hyperv_msr_read(struct vcpu *v, u32 msr, u64 *value) { return -ENOENT; }
int nested_hyperv_msr_write(struct vcpu *v, u32 msr, u64 value) { return -ENOENT; }
bool nested_evmcs_is_on(struct vcpu *v) { return false; }
void nested_shadowing_begin(struct vcpu *v) { }
void nested_shadowing_end(struct vcpu *v) { }

static struct vm_config config;

static struct vcpu_vmx vmx;
static struct nested_vmx nested;
static struct vmcs12 vmcs12;
static struct nested_checks checks;
static struct vcpu *const vcpu = &vmx.vcpu;
static struct vmx_entry_state host;
static struct nested_check result;
static struct vcpu_ops machine_ops;

static struct { u64 code, qualification; const char *rule; } traced;

void trace_l2_refused(struct vcpu *v, u64 code, u64 qualification, const char *rule)
{
	traced = (__typeof__(traced)){ code, qualification, rule };
}

u64 vmx_control_get(struct vcpu *v, enum vcpu_control control)
{
	return fake.controls[control];
}

/* A processor that has all controls. */
static void capable_host(void)
{
	host = (struct vmx_entry_state){
		.basic = 0x2b | BASIC_STRING_IO | BASIC_ANY_ERROR_CODE | BASIC_TRUE_CONTROLS,
		.allowed_pin = ~0u * BIT_ULL(32) | 0x16, .allowed_primary = ~0u * BIT_ULL(32) | 0x04006172,
		.allowed_secondary = ~0u * BIT_ULL(32), .allowed_exit = ~0u * BIT_ULL(32) | 0x36dfb,
		.allowed_entry = ~0u * BIT_ULL(32) | 0x11fb, .misc = MISC_NO_LENGTH | 7 << 6 | 5, .ept_vpid = ~0ull,
		.cr0_fixed0 = 0x80000021, .cr0_fixed1 = 0xffffffff, .cr4_fixed0 = 0x2000, .cr4_fixed1 = ~0ull,
	};
	vmx_caps = (struct vmx_caps){
		.pin = PIN_VIRTUAL_NMI, .entry = ENTRY_LOAD_EFER | ENTRY_LOAD_PAT,
		.exit = EXIT_LOAD_EFER | EXIT_LOAD_PAT | EXIT_SAVE_PAT,
	};
}

static void offer(void)
{
	nested_caps(vcpu, &host, &checks.l1);
	nested_checks_init(&nested);
}

/* vmcs12 is the state that tests/unit/vmx_entry_states.h has built, with only those controls that L1 is offered. */
static void take_state(void)
{
	const u64 *fields = (const u64 *)&s;

	s.pin = 0x16 | PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI;
	s.primary = 0x04006172 | PRIMARY_SECONDARY | PRIMARY_MSR_BITMAP;
	s.exit = 0x36dfb | (s.exit & EXIT_HOST_64BIT) | EXIT_LOAD_EFER | EXIT_LOAD_PAT;
	s.entry = 0x11fb | ENTRY_LOAD_DEBUG | ENTRY_LOAD_EFER | ENTRY_LOAD_PAT | (s.entry & ENTRY_IA32E_GUEST);
	for (unsigned i = 0; i < VMX_FIRST_PROCESSOR; i++) {
		u64 *field = vmcs12_find(&vmcs12, vmx_field_number(i));

		if (field)
			*field = fields[i];
	}
}

static int machine(void **state)
{
	fake_machine_create();
	fake_long_mode();
	memset(&vmx, 0, sizeof(vmx));
	memset(&nested, 0, sizeof(nested));
	memset(&vmcs12, 0, sizeof(vmcs12));
	memset(&checks, 0, sizeof(checks));
	memcpy(vcpu, &fake.vcpu, sizeof(*vcpu));
	machine_ops = *vcpu->ops;
	vcpu->ops = &machine_ops;
	config.nested = NESTED_ON;
	vcpu->vm->config = &config;
	vmx.nested = &nested;
	nested.vmcs12 = &vmcs12;
	nested.checks = &checks;
	nested.current_ptr = REGION;
	capable_host();
	offer();
	long_mode();
	take_state();
	return 0;
}

static int no_machine(void **state)
{
	fake_machine_destroy();
	return 0;
}

static void put_u32(gpa_t gpa, u32 value)
{
	memcpy(fake.ram + gpa, &value, sizeof(value));
}

static u64 msr(u32 number)
{
	u64 value;

	assert_int_equal(nested_vmx_msr_read(vcpu, number, &value), 0);
	return value;
}

/* --- the capability MSRs --- */

static void basic(void **state)
{
	u64 value = msr(MSR_VMX_BASIC);

	assert_int_equal(value & 0xffffffff, VMCS12_REVISION);
	assert_int_equal(value >> 31 & 1, 0);
	assert_int_equal(value >> 32 & 0x1fff, 4096);
	assert_int_equal(value >> 48 & 1, 0);		/* addresses may be wider than 32 bits */
	assert_int_equal(value >> 50 & 15, 6);		/* write-back */
	assert_int_equal(value >> 54 & 1, 1);
	assert_int_equal(value >> 55 & 3, 3);
	host.basic = 0x2b;
	offer();
	assert_int_equal(msr(MSR_VMX_BASIC) >> 54, 2);	/* true controls are ours */
}

/* What hypervisors demand of the original MSRs. */
static void controls_that_hypervisors_need(void **state)
{
	const u32 pin = 1 << 0 | 1 << 3;
	const u32 primary = 1u << 2 | 1 << 3 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 15 | 1 << 16 | 1 << 19 |
			    1 << 20 | 1 << 23 | 1 << 24 | 1 << 25 | 1 << 28 | 1 << 29 | 1u << 31;
	const u32 exit = 1 << 2 | 1 << 9 | 1 << 15 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 21;
	const u32 entry = 1 << 2 | 1 << 9 | 1 << 14 | 1 << 15;

	assert_int_equal(msr(MSR_VMX_PIN) >> 32 & pin, pin);
	assert_int_equal(msr(MSR_VMX_PRIMARY) >> 32 & primary, primary);
	assert_int_equal(msr(MSR_VMX_EXIT) >> 32 & exit, exit);
	assert_int_equal(msr(MSR_VMX_ENTRY) >> 32 & entry, entry);
	/* The true MSR lets CR3 accesses and INVLPG not exit, and both hosts be 64-bit or not. */
	assert_int_equal((u32)msr(MSR_VMX_TRUE_PRIMARY) & (1 << 9 | 1 << 15 | 1 << 16), 0);
	assert_int_equal((u32)msr(MSR_VMX_TRUE_EXIT) & (1 << 2 | 1 << 9), 0);
	/* EPT: 4 levels, write-back, INVEPT of both types; INVVPID of all types. */
	assert_int_equal(msr(MSR_VMX_EPT_VPID) & (1 << 6 | 1 << 14 | 1 << 20 | 3 << 25), 1 << 6 | 1 << 14 | 1 << 20 | 3 << 25);
	assert_int_equal(msr(MSR_VMX_EPT_VPID) >> 32 & 0xf01, 0xf01);
}

/* SDM, appendix "VMX Capability Reporting Facility": the default1 classes, and that the true MSRs only relax. */
static void original_and_true_msrs(void **state)
{
	const struct {
		u32 original, true_msr, default1;
	} pairs[] = {
		{ 0x481, 0x48d, 0x16 }, { 0x482, 0x48e, 0x401e172 }, { 0x483, 0x48f, 0x36dff }, { 0x484, 0x490, 0x11ff },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++) {
		u64 original = msr(pairs[i].original), true_msr = msr(pairs[i].true_msr);

		assert_int_equal((u32)original, pairs[i].default1);
		assert_int_equal(original >> 32, true_msr >> 32);
		assert_int_equal((u32)true_msr & ~(u32)original, 0);
		/* What must be 1 may be 1. */
		assert_int_equal((u32)original & ~(original >> 32), 0);
	}
}

/* No control is offered that the processor lacks, but those that L0 carries out itself. */
static void a_poor_host(void **state)
{
	host.allowed_pin = (u64)0x16 << 32 | 0x16;
	host.allowed_primary = (u64)0x401e172 << 32 | 0x401e172;
	host.allowed_secondary = 0;
	host.allowed_exit = (u64)0x36dff << 32 | 0x36dff;
	host.allowed_entry = (u64)0x11ff << 32 | 0x11ff;
	host.ept_vpid = 0;
	host.misc = 0;
	vmx_caps = (struct vmx_caps){ .pin = 0 };
	offer();
	assert_int_equal(msr(MSR_VMX_TRUE_PIN) >> 32, 0x16 | PIN_PREEMPTION_TIMER);
	assert_int_equal(msr(MSR_VMX_TRUE_PRIMARY) >> 32, 0x401e172 | PRIMARY_IO_BITMAPS);
	assert_int_equal(msr(MSR_VMX_SECONDARY) >> 32, SECONDARY_VPID);
	assert_int_equal(msr(MSR_VMX_TRUE_EXIT) >> 32, 0x36dff | EXIT_ACKNOWLEDGE | EXIT_SAVE_PREEMPTION_TIMER);
	assert_int_equal(msr(MSR_VMX_TRUE_ENTRY) >> 32, 0x11ff);
	assert_int_equal(msr(MSR_VMX_EPT_VPID) & (1 << 0 | 1 << 16 | 1 << 17 | 1 << 21), 0);
	assert_int_equal(msr(MSR_VMX_MISC) >> 30 & 1, 0);
}

/* An option hides what the processor has: then L1 does not get it either. */
static void hidden_features(void **state)
{
	vmx_caps = (struct vmx_caps){ .pin = 0 };
	offer();
	assert_int_equal(msr(MSR_VMX_PIN) >> 32 & PIN_VIRTUAL_NMI, 0);
	assert_int_equal(msr(MSR_VMX_PRIMARY) >> 32 & PRIMARY_NMI_WINDOW, 0);
	assert_int_equal(msr(MSR_VMX_EXIT) >> 32 & (15 << 18), 0);
	assert_int_equal(msr(MSR_VMX_ENTRY) >> 32 & (3 << 14), 0);
}

/* TLFS, "HV_VMX_ENLIGHTENED_VMCS": it has no field for the timer's value. */
static void with_an_enlightened_vmcs(void **state)
{
	config.nested = NESTED_EVMCS;
	offer();
	assert_int_equal(msr(MSR_VMX_PIN) >> 32 & (PIN_PREEMPTION_TIMER | PIN_POSTED_INTERRUPTS), 0);
	assert_int_equal(msr(MSR_VMX_TRUE_PIN) >> 32 & (PIN_PREEMPTION_TIMER | PIN_POSTED_INTERRUPTS), 0);
	assert_int_equal(msr(MSR_VMX_EXIT) >> 32 & EXIT_SAVE_PREEMPTION_TIMER, 0);
	/* APIC accesses stay out with APIC registers, interrupt delivery, PAUSE loops, VM functions, shadowing, PML, #VE, scaling. */
	assert_int_equal(msr(MSR_VMX_SECONDARY) >> 32 & 0x02066700, 0);
	config.nested = NESTED_ON;
	offer();
	assert_int_equal(msr(MSR_VMX_PIN) >> 32 & PIN_PREEMPTION_TIMER, PIN_PREEMPTION_TIMER);
	/* All that a processor with every control is offered as. */
	assert_int_equal(msr(MSR_VMX_SECONDARY) >> 32, BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(5) | BIT(6) | BIT(7) | BIT(10) | BIT(12));
}

static void other_msrs(void **state)
{
	u64 value, cr4 = msr(MSR_VMX_CR4_FIXED1);

	assert_int_equal(msr(MSR_FEATURE_CONTROL), 5);
	assert_int_equal(msr(MSR_VMX_MISC) & 0x1f, 5);
	assert_int_equal(msr(MSR_VMX_MISC) >> 5 & 15, 3);	/* EFER.LMA is saved; HLT, and no other activity state */
	assert_int_equal(msr(MSR_VMX_MISC) >> 16 & 0x1ff, 4);
	assert_int_equal(msr(MSR_VMX_MISC) >> 25 & 7, 0);	/* lists of 512 entries */
	assert_int_equal(msr(MSR_VMX_CR0_FIXED0), 0x80000021);
	assert_int_equal(msr(MSR_VMX_CR0_FIXED1), 0xffffffff);
	assert_int_equal(msr(MSR_VMX_CR4_FIXED0), 0x2000);
	assert_int_equal(cr4, control_cr4_allowed(vcpu) | CR4_VMXE);
	assert_int_equal(msr(MSR_VMX_VMCS_ENUM), 0x2e);		/* the preemption timer's index, 17h */
	for (u32 number = 0x47f; number <= 0x4a0; number++) {
		bool there = number >= 0x480 && number <= 0x490;

		assert_int_equal(nested_vmx_msr_read(vcpu, number, &value), there ? 0 : -ENOENT);
		assert_int_equal(nested_vmx_msr_write(vcpu, number, 0), there ? -EINVAL : -ENOENT);
	}
	assert_int_equal(nested_vmx_msr_write(vcpu, MSR_FEATURE_CONTROL, 5), -EINVAL);
}

static void cpuid_bit(void **state)
{
	struct cpuid_regs regs = { 0 };

	nested_vmx_cpuid(vcpu, 7, &regs);
	assert_int_equal(regs.ecx, 0);
	nested_vmx_cpuid(vcpu, 1, &regs);
	assert_int_equal(regs.ecx, 1 << 5);
	assert_int_equal(regs.eax | regs.ebx | regs.edx, 0);
}

/* --- the checks --- */

static int check_entry(void)
{
	nested_vmx_check(vcpu, &result);
	assert_int_equal(result.outcome == NESTED_ENTRY_OK, !result.rule);
	return result.outcome;
}

static void good_states(void **state)
{
	void (*const modes[])(void) = { long_mode, real_mode, virtual_8086_mode, pae_mode, restricted };

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		modes[i]();
		take_state();
		if (check_entry() != NESTED_ENTRY_OK)
			fail_msg("state %u breaks %s", i, result.rule);
		/* Unchanged, it is not checked again. */
		assert_int_equal(check_entry(), NESTED_ENTRY_OK);
	}
}

/* Each control's bit: what the capability MSR says about it is what the check says. */
static void each_control(void **state)
{
	const struct {
		u32 encoding, capability;
		const char *rule;
	} words[] = {
		{ 0x4000, 0x48d, "control.pin.reserved" }, { 0x4002, 0x48e, "control.primary.reserved" },
		{ 0x401e, 0x48b, "control.secondary.reserved" }, { 0x400c, 0x48f, "control.exit.reserved" },
		{ 0x4012, 0x490, "control.entry.reserved" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		u64 capability = msr(words[i].capability), *field = vmcs12_find(&vmcs12, words[i].encoding);

		for (unsigned bit = 0; bit < 32; bit++) {
			u64 before = *field;
			bool may_be_1 = capability >> (32 + bit) & 1, must_be_1 = capability >> bit & 1;
			bool refused;

			*field ^= BIT(bit);
			refused = *field & BIT(bit) ? !may_be_1 : must_be_1;
			check_entry();
			if (refused != (result.rule && !strcmp(result.rule, words[i].rule)))
				fail_msg("bit %u of 0x%x: %s", bit, words[i].encoding, result.rule);
			if (refused)
				assert_true(result.outcome == NESTED_ENTRY_VMFAIL && result.error == 7);
			*field = before;
		}
	}
}

static const struct failing_case {
	u32 encoding;
	u64 value;
	u32 error;		/* VM-instruction error; 0: the entry fails with reason 0x80000021 */
	u64 qualification;
	const char *rule;
} failing[] = {
	/* controls */
	{ 0x400a, 5, 7, 0, "control.cr3-target-count" },
	{ 0x2004, 0x123, 7, 0, "control.msr-bitmap" },
	{ 0x2004, 1ull << 40, 7, 0, "control.msr-bitmap" },
	{ 0x0000, 0, 7, 0, "control.vpid" },
	{ 0x201a, 0x10000 | 3 << 3 | 2, 7, 0, "control.ept-pointer.memory-type" },
	{ 0x201a, 0x10000 | 3 << 3, 7, 0, "control.ept-pointer.memory-type" },	/* uncacheable: not offered */
	{ 0x201a, 0x10000 | 4 << 3 | 6, 7, 0, "control.ept-pointer.walk-length" },
	{ 0x4016, 0x80000000 | 1 << 8, 7, 0, "control.event.type" },
	{ 0x4016, 0x80000000 | 3 << 8 | 32, 7, 0, "control.event.vector" },
	/* host state */
	{ 0x6c00, 0x80000001, 8, 0, "host.cr0.fixed" },
	{ 0x6c04, 0x20, 8, 0, "host.cr4.fixed" },
	{ 0x6c04, 0x2020 | 1ull << 63, 8, 0, "host.cr4.fixed" },
	{ 0x6c02, 1ull << 40, 8, 0, "host.cr3.width" },
	{ 0x0c02, 3, 8, 0, "host.cs.selector" },
	{ 0x0c0c, 0, 8, 0, "host.tr.null" },
	{ 0x6c16, 1ull << 47, 8, 0, "host.rip.canonical" },
	{ 0x6c0c, 1ull << 47, 8, 0, "host.gdtr.base" },
	{ 0x2c02, 0, 8, 0, "host.efer.mode" },
	/* guest state */
	{ 0x6800, 0x80000001, 0, 0, "guest.cr0.fixed" },
	{ 0x6804, 0x20, 0, 0, "guest.cr4.fixed" },
	{ 0x6820, 0, 0, 0, "guest.rflags.reserved" },
	{ 0x0806, 0, 0, 0, NULL },
	{ 0x4826, 2, 0, 0, "guest.activity.supported" },
	{ 0x4826, 3, 0, 0, "guest.activity.supported" },
	{ 0x4824, 3, 0, 0, "guest.interruptibility.sti-mov-ss" },
	{ 0x2800, 0x123, 0, 4, "guest.link-pointer.address" },
	{ 0x2800, REGION, 0, 4, "guest.link-pointer.revision" },
	{ 0x2800, OTHER_REGION, 0, 4, "guest.link-pointer.revision" },
	{ 0x2800, FAKE_MMIO, 0, 4, "guest.link-pointer.revision" },
};

static void failing_entries(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(failing); i++) {
		const struct failing_case *c = &failing[i];
		u64 *field = vmcs12_find(&vmcs12, c->encoding), before = *field;

		fake_forget();
		*field = c->value;
		check_entry();
		*field = before;
		if (!c->rule) {
			assert_int_equal(result.outcome, NESTED_ENTRY_OK);
			continue;
		}
		if (!result.rule || strcmp(result.rule, c->rule))
			fail_msg("case %u breaks %s", i, result.rule);
		assert_int_equal(result.outcome, c->error ? NESTED_ENTRY_VMFAIL : NESTED_ENTRY_FAILED);
		assert_int_equal(result.error, c->error);
		assert_int_equal(result.reason, c->error ? 0 : 0x80000021);
		assert_int_equal(result.qualification, c->qualification);
		/* In words, and where the manual has it. */
		assert_non_null(strstr(fake.words, c->rule));
		assert_non_null(strstr(fake.words, "[SDM, \""));
		assert_string_equal(traced.rule, c->rule);
		assert_int_equal(traced.code, c->error ? c->error : 0x80000021);
		assert_int_equal(traced.qualification, c->qualification);
	}
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
}

/* Controls before host state before guest state. */
static void order(void **state)
{
	vmcs12_writen(&vmcs12, GUEST_RFLAGS, 0);
	vmcs12_writen(&vmcs12, HOST_CR0, 0);
	vmcs12_write32(&vmcs12, CR3_TARGET_COUNT, 9);
	check_entry();
	assert_int_equal(result.error, 7);
	vmcs12_write32(&vmcs12, CR3_TARGET_COUNT, 0);
	check_entry();
	assert_int_equal(result.error, 8);
	vmcs12_writen(&vmcs12, HOST_CR0, CR0_PG | CR0_NE | CR0_PE);
	check_entry();
	assert_int_equal(result.reason, 0x80000021);
	vmcs12_writen(&vmcs12, GUEST_RFLAGS, RFLAGS_FIXED);
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
}

static void nmi_in_sti_shadow(void **state)
{
	vmcs12_writen(&vmcs12, GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmcs12_write32(&vmcs12, GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	vmcs12_write32(&vmcs12, ENTRY_INTERRUPTION_INFO, NMI);
	assert_int_equal(check_entry(), NESTED_ENTRY_FAILED);
	assert_int_equal(result.qualification, 3);
}

static void link_pointer(void **state)
{
	put_u32(REGION, VMCS12_REVISION);
	put_u32(OTHER_REGION, VMCS12_REVISION);
	vmcs12_write64(&vmcs12, VMCS_LINK_POINTER, OTHER_REGION);
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
	/* What is in memory counts anew each time. */
	put_u32(OTHER_REGION, VMCS12_REVISION | BIT(31));
	assert_int_equal(check_entry(), NESTED_ENTRY_FAILED);
	assert_int_equal(result.qualification, 4);
	vmcs12_write64(&vmcs12, VMCS_LINK_POINTER, REGION);
	assert_int_equal(check_entry(), NESTED_ENTRY_FAILED);
	assert_string_equal(result.rule, "guest.link-pointer.current");
	vmcs12_write64(&vmcs12, VMCS_LINK_POINTER, ~0ull);
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
}

static void pdptes_of_vmcs12(void **state)
{
	pae_mode();
	take_state();
	vmcs12_write64(&vmcs12, guest_pdpte(2), 0x77001);
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
	assert_int_equal(result.pdptes[2], 0x77001);
	vmcs12_write64(&vmcs12, guest_pdpte(2), 0x77003);
	assert_int_equal(check_entry(), NESTED_ENTRY_FAILED);
	assert_int_equal(result.qualification, 2);
	vmcs12_write64(&vmcs12, guest_pdpte(2), 0x77002);	/* not present */
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
}

/* Without EPT they are in memory, and count anew each time; those of vmcs12 do not. */
static void pdptes_in_memory(void **state)
{
	const u64 good[4] = { 0x10001, 0x11001, 0, 0x12001 };

	pae_mode();
	s.secondary = SECONDARY_VPID;
	s.cr3 = 0x8020 | 0x18;	/* bits 4:0 do not count */
	s.pdpte1 = 0x3;
	take_state();
	memcpy(fake.ram + 0x8020, good, sizeof(good));
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
	assert_memory_equal(result.pdptes, good, sizeof(good));
	put_u32(0x8028, 0x11003);
	assert_int_equal(check_entry(), NESTED_ENTRY_FAILED);
	assert_int_equal(result.reason, 0x80000021);
	assert_int_equal(result.qualification, 2);
	put_u32(0x8028, 0x11001);
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
	vmcs12_writen(&vmcs12, GUEST_CR3, FAKE_MMIO);
	assert_int_equal(check_entry(), NESTED_ENTRY_FAILED);
	assert_int_equal(result.qualification, 2);
}

/* The threshold is compared with the byte in L1's page, where APIC accesses are not virtualized. */
static void tpr_threshold(void **state)
{
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, (u32)s.primary | PRIMARY_TPR_SHADOW);
	vmcs12_write64(&vmcs12, VIRTUAL_APIC_ADDRESS, VIRTUAL_APIC);
	vmcs12_write32(&vmcs12, TPR_THRESHOLD, 4);
	fake.ram[VIRTUAL_APIC + 0x80] = 0x40;
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
	fake.ram[VIRTUAL_APIC + 0x80] = 0x3f;
	check_entry();
	assert_int_equal(result.error, 7);
	vmcs12_write64(&vmcs12, VIRTUAL_APIC_ADDRESS, VIRTUAL_APIC | 1);
	check_entry();
	assert_string_equal(result.rule, "control.virtual-apic");
}

/* SDM, "VM-Execution Control Fields": bits 11:0 and those beyond the width are 0. That it is RAM is L0's own rule. */
static void apic_access(void **state)
{
	static const struct { u64 address; const char *rule; } pages[] = {
		{ VIRTUAL_APIC, NULL }, { VIRTUAL_APIC + 8, "control.apic-access" }, { FAKE_MMIO, "control.apic-access.ram" },
		{ 1ull << 52, "control.apic-access.ram" }, { ~0ull, "control.apic-access" },
	};

	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, (u32)s.primary | PRIMARY_TPR_SHADOW);
	vmcs12_write64(&vmcs12, VIRTUAL_APIC_ADDRESS, VIRTUAL_APIC);
	vmcs12_write32(&vmcs12, SECONDARY_CONTROLS, (u32)s.secondary | SECONDARY_APIC_ACCESSES);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		vmcs12_write64(&vmcs12, APIC_ACCESS_ADDRESS, pages[i].address);
		check_entry();
		assert_int_equal(result.outcome, pages[i].rule ? NESTED_ENTRY_VMFAIL : NESTED_ENTRY_OK);
		if (!pages[i].rule)
			continue;
		assert_int_equal(result.error, 7);
		assert_string_equal(result.rule, pages[i].rule);
	}
	vmcs12_write64(&vmcs12, APIC_ACCESS_ADDRESS, VIRTUAL_APIC);
	vmcs12_write32(&vmcs12, TPR_THRESHOLD, 15);	/* above VTPR: an exit after the entry, no failure */
	fake.ram[VIRTUAL_APIC + 0x80] = 0;
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
	vmcs12_write32(&vmcs12, SECONDARY_CONTROLS, (u32)s.secondary);
	vmcs12_write64(&vmcs12, APIC_ACCESS_ADDRESS, FAKE_MMIO);
	vmcs12_write32(&vmcs12, TPR_THRESHOLD, 0);
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
}

/* L1 in 32-bit mode: no 64-bit host, no 64-bit guest. SDM, "Checks Related to Address-Space Size". */
static void hypervisor_in_32_bit_mode(void **state)
{
	fake.controls[CTL_EFER] = 0;
	check_entry();
	assert_int_equal(result.error, 8);
	host_32();
	take_state();
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
	fake.controls[CTL_EFER] = EFER_LME | EFER_LMA;
	check_entry();
	assert_int_equal(result.error, 8);
	assert_string_equal(result.rule, "host.address-space.64-bit");
}

/*
 * Where only guest state other than CR0 has changed, the rules about controls and the host are not checked again: they
 * must not look at it, whatever is injected.
 */
static void controls_and_host_do_not_depend_on_the_guest(void **state)
{
	void (*const modes[])(void) = { long_mode, real_mode, virtual_8086_mode, pae_mode, restricted, host_32 };
	const u64 events[] = { 0, NMI, EXTINT, EVENT(3u, 14) | ERROR_CODE, EVENT(4u, 0x80) };

	for (unsigned i = 0; i < ARRAY_SIZE(modes) * ARRAY_SIZE(events); i++) {
		u64 *fields = (u64 *)&s;
		unsigned controls, hosts;

		modes[i % ARRAY_SIZE(modes)]();
		s.event = events[i / ARRAY_SIZE(modes)];
		controls = vmx_check_part(&s, VMX_RULES_CONTROLS, listen, NULL);
		hosts = vmx_check_part(&s, VMX_RULES_HOST, listen, NULL);
		for (unsigned field = VMX_FIELD(cr0) + 1; field < VMX_FIRST_PROCESSOR; field++) {
			for (unsigned bit = 0; bit < 64; bit++) {
				fields[field] ^= 1ull << bit;
				assert_int_equal(vmx_check_part(&s, VMX_RULES_CONTROLS, listen, NULL), controls);
				assert_int_equal(vmx_check_part(&s, VMX_RULES_HOST, listen, NULL), hosts);
				fields[field] ^= 1ull << bit;
			}
		}
	}
}

/* A state that passed passes with another VMCS only after a check. */
static void another_vmcs(void **state)
{
	put_u32(OTHER_REGION, VMCS12_REVISION);
	vmcs12_write64(&vmcs12, VMCS_LINK_POINTER, OTHER_REGION);
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
	nested.current_ptr = OTHER_REGION;
	assert_int_equal(check_entry(), NESTED_ENTRY_FAILED);
}

/* Two good states in turn do not make a third one good, whichever fields differ. */
static void states_that_passed(void **state)
{
	u64 rsp = vmcs12_readn(&vmcs12, GUEST_RSP);
	u16 cs = vmcs12_read16(&vmcs12, guest_selector(SEG_CS));

	for (unsigned i = 0; i < 4; i++) {
		vmcs12_writen(&vmcs12, GUEST_RSP, rsp + i);
		vmcs12_writen(&vmcs12, GUEST_CR3, i << 12);
		vmcs12_write16(&vmcs12, guest_selector(SEG_CS), cs ^ (i & 1) << 5);
		assert_int_equal(check_entry(), NESTED_ENTRY_OK);
		vmcs12_writen(&vmcs12, GUEST_CR3, 1ull << 40);		/* beyond the physical width */
		assert_int_equal(check_entry(), NESTED_ENTRY_FAILED);
		vmcs12_writen(&vmcs12, GUEST_CR3, i << 12);
		vmcs12_writen(&vmcs12, GUEST_RFLAGS, 0);
		assert_int_equal(check_entry(), NESTED_ENTRY_FAILED);
		vmcs12_writen(&vmcs12, GUEST_RFLAGS, RFLAGS_FIXED);
		vmcs12_writen(&vmcs12, HOST_CR4, 0);
		assert_int_equal(check_entry(), NESTED_ENTRY_VMFAIL);
		vmcs12_writen(&vmcs12, HOST_CR4, s.host_cr4);
		assert_int_equal(check_entry(), NESTED_ENTRY_OK);
	}
}

/*
 * What a guest hypervisor may not have is refused, though it makes another state with the digest of a good one: the
 * difference in the highest bit of CR4 is taken back by the next field.
 */
static void hidden_features_behind_a_known_digest(void **state)
{
	u64 dr7 = vmcs12_readn(&vmcs12, GUEST_DR7), cr4 = vmcs12_readn(&vmcs12, GUEST_CR4);

	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
	vmcs12_writen(&vmcs12, GUEST_CR4, cr4 ^ BIT_ULL(63));
	vmcs12_writen(&vmcs12, GUEST_DR7, dr7 ^ BIT_ULL(63) ^ BIT_ULL(31));
	assert_int_equal(check_entry(), NESTED_ENTRY_FAILED);
}

/* SDM, "Checks on Guest Segment Registers": in virtual-8086 mode a base is 16 times the selector, in others it is any. */
static void bases_in_virtual_8086_mode(void **state)
{
	virtual_8086_mode();
	take_state();
	assert_int_equal(check_entry(), NESTED_ENTRY_OK);
	vmcs12_writen(&vmcs12, guest_base(SEG_FS), vmcs12_readn(&vmcs12, guest_base(SEG_FS)) ^ 0x10);
	assert_int_equal(check_entry(), NESTED_ENTRY_FAILED);
}

/* --- MSR-load areas --- */

static void msr_load_entries(void **state)
{
	const struct {
		struct vmx_msr_entry entry;
		bool refused;
	} cases[] = {
		{ { MSR_STAR, 0, 1 }, false }, { { MSR_STAR, 1, 1 }, true }, { { MSR_FS_BASE, 0, 0 }, true },
		{ { MSR_GS_BASE, 0, 0 }, true }, { { MSR_KERNEL_GS_BASE, 0, 0 }, false },
		{ { MSR_KERNEL_GS_BASE, 0, 1ull << 47 }, true }, { { 0x800, 0, 0 }, true }, { { 0x8ff, 0, 0 }, true },
		{ { 0x900, 0, 0 }, false }, { { 0x79, 0, 0 }, true }, { { 0x9b, 0, 0 }, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_forget();
		if (nested_msr_entry_refused(vcpu, &cases[i].entry, 7) != cases[i].refused)
			fail_msg("case %u", i);
		assert_int_equal(strstr(fake.words, "entry 0x7") != NULL, cases[i].refused);
		if (cases[i].refused)
			assert_true(traced.code == 0x80000022 && traced.qualification == 7);
	}
}

#define CHECK_TEST(name) cmocka_unit_test_setup_teardown(name, machine, no_machine)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHECK_TEST(basic), CHECK_TEST(controls_that_hypervisors_need), CHECK_TEST(original_and_true_msrs),
		CHECK_TEST(a_poor_host), CHECK_TEST(hidden_features), CHECK_TEST(with_an_enlightened_vmcs), CHECK_TEST(other_msrs), CHECK_TEST(cpuid_bit),
		CHECK_TEST(good_states), CHECK_TEST(each_control), CHECK_TEST(failing_entries), CHECK_TEST(order),
		CHECK_TEST(nmi_in_sti_shadow), CHECK_TEST(link_pointer), CHECK_TEST(pdptes_of_vmcs12),
		CHECK_TEST(pdptes_in_memory), CHECK_TEST(apic_access), CHECK_TEST(tpr_threshold), CHECK_TEST(hypervisor_in_32_bit_mode),
		CHECK_TEST(states_that_passed), CHECK_TEST(bases_in_virtual_8086_mode), CHECK_TEST(another_vmcs), CHECK_TEST(controls_and_host_do_not_depend_on_the_guest),
		CHECK_TEST(msr_load_entries), CHECK_TEST(hidden_features_behind_a_known_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
