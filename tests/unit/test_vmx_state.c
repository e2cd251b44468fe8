/* SPDX-License-Identifier: MIT */
/* What the setters of guest state under VMX write to the VMCS, and what the guest reads. */
/* link: vmx/state.c tests/unit/fake_vmcs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/emulate/emulate.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/vmx.h"

struct vmx_caps vmx_caps;
struct cpu_features cpu_features;
const u32 vmx_live_msrs[LIVE_MSRS] = { [LIVE_STAR] = MSR_STAR, [LIVE_TSC_AUX] = MSR_TSC_AUX };

static struct vm vm;
static struct vcpu_vmx vmx;
static struct vcpu *const vcpu = &vmx.vcpu;
static struct vmx_msr_entry lists[2];
static u64 cr4_allowed;
static unsigned flushes, advanced;
static u64 raised;

static const struct vcpu_ops ops = {
	.reg_fetch = vmx_reg_fetch,
};

u64 control_cr4_allowed(const struct vcpu *v)
{
	return cr4_allowed;
}

void emulate_advance(struct vcpu *v, unsigned length)
{
	advanced = length;
}

void event_raise_debug(struct vcpu *v, u64 dr6_bits)
{
	raised = dr6_bits;
}

void vmx_flush_tlb(const struct vcpu *v)
{
	flushes++;
}

int rdmsr_safe(u32 msr, u64 *value)
{
	*value = 0x1000 + msr;
	return 0;
}

int wrmsr_safe(u32 msr, u64 value)
{
	return value == ~0ull ? -EFAULT : 0;
}

static int setup(void **state)
{
	fake_vmcs_clear();
	memset(&vmx, 0, sizeof(vmx));
	memset(lists, 0, sizeof(lists));
	vcpu->vm = &vm;
	vcpu->ops = &ops;
	vmx_caps = (struct vmx_caps){
		.entry = ENTRY_LOAD_EFER | ENTRY_LOAD_PAT,
		.exit = EXIT_LOAD_EFER | EXIT_LOAD_PAT | EXIT_SAVE_PAT,
		.cr0_fixed0 = CR0_PG | CR0_NE | CR0_PE,
		.cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = CR4_VMXE,
		.cr4_fixed1 = 0x3fffff,
	};
	vmx.entry_controls = vmx_caps.entry;
	cr4_allowed = CR4_PAE | CR4_PGE | CR4_PSE | CR4_OSXSAVE | CR4_TSD | CR4_MCE | CR4_SMEP;
	cpu_features = (struct cpu_features){ .rdtscp = true };
	flushes = 0;
	raised = 0;
	return 0;
}

static bool long_mode_control(void)
{
	assert_int_equal(FAKE(ENTRY_CONTROLS), vmx.entry_controls);
	return FAKE(ENTRY_CONTROLS) & ENTRY_IA32E_GUEST;
}

/* Long mode begins with CR0.PG and ends with it: LMA, the control and the TSS follow. */
static void long_mode_follows_paging(void **state)
{
	FAKE(guest_access_rights(SEG_TR)) = 0x83;
	vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_ET);
	vmx_control_set(vcpu, CTL_CR4, CR4_PAE);
	vmx_control_set(vcpu, CTL_EFER, EFER_LME | EFER_NXE);
	assert_false(long_mode_control());
	assert_int_equal(vmx_control_get(vcpu, CTL_EFER), EFER_LME | EFER_NXE);

	vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG | CR0_ET);
	assert_true(long_mode_control());
	assert_int_equal(vmx_control_get(vcpu, CTL_EFER), EFER_LME | EFER_LMA | EFER_NXE);
	assert_int_equal(FAKE(GUEST_EFER), EFER_LME | EFER_LMA | EFER_NXE);
	assert_int_equal(FAKE(guest_access_rights(SEG_TR)), 0x8b);

	vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_ET);
	assert_false(long_mode_control());
	assert_int_equal(FAKE(GUEST_EFER), EFER_LME | EFER_NXE);
}

/* A loader may set them in any order. */
static void long_mode_does_not_depend_on_the_order(void **state)
{
	vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG | CR0_ET);
	vmx_control_set(vcpu, CTL_CR4, CR4_PAE);
	vmx_control_set(vcpu, CTL_EFER, EFER_LME | EFER_LMA);
	assert_true(long_mode_control());
	assert_int_equal(FAKE(GUEST_EFER), EFER_LME | EFER_LMA);
}

static void efer_goes_through_the_list_without_fields(void **state)
{
	vmx_caps.entry = vmx_caps.exit = vmx.entry_controls = 0;
	vmx.efer_lists = lists;
	vmx_control_set(vcpu, CTL_EFER, EFER_NXE);
	assert_false(WRITTEN(GUEST_EFER));
	assert_int_equal(lists[0].value, EFER_NXE);
	assert_int_equal(lists[1].value, 0);
}

static void cr0_reads_as_it_was_written(void **state)
{
	const u64 reset = CR0_CD | CR0_NW | CR0_ET;
	const u64 owned = CR0_TS | CR0_WP | CR0_MP | CR0_EM | CR0_AM;

	vmx_control_set(vcpu, CTL_CR0, reset);
	assert_int_equal(vmx_control_get(vcpu, CTL_CR0), reset);
	assert_int_equal(FAKE(GUEST_CR0), CR0_NE | CR0_ET);	/* caches stay on, NE is fixed */
	assert_int_equal(FAKE(CR0_READ_SHADOW), reset);

	/* The guest owns TS: CLTS and MOV change it without an exit. It does not own NE. */
	assert_int_equal(FAKE(CR0_GUEST_HOST_MASK), ~owned);
	FAKE(GUEST_CR0) |= CR0_TS;
	assert_int_equal(vmx_control_get(vcpu, CTL_CR0), reset | CR0_TS);
	vmx_control_set(vcpu, CTL_CR0, reset | CR0_TS);
	FAKE(GUEST_CR0) &= ~CR0_TS;
	assert_int_equal(vmx_control_get(vcpu, CTL_CR0), reset);
}

static void cr4_hides_the_host_bits(void **state)
{
	FAKE(HOST_CR4) = CR4_MCE | CR4_SMAP;
	vmx_control_set(vcpu, CTL_CR4, CR4_PAE);
	assert_int_equal(FAKE(GUEST_CR4), CR4_PAE | CR4_VMXE | CR4_MCE);
	assert_int_equal(vmx_control_get(vcpu, CTL_CR4), CR4_PAE);

	/* The guest's MCE is only what it reads. */
	FAKE(HOST_CR4) = 0;
	vmx_control_set(vcpu, CTL_CR4, CR4_PAE | CR4_MCE);
	assert_int_equal(FAKE(GUEST_CR4), CR4_PAE | CR4_VMXE);
	assert_int_equal(vmx_control_get(vcpu, CTL_CR4), CR4_PAE | CR4_MCE);
}

/* A bit that the guest's CPUID does not have must exit, or no #GP would be raised for it. */
static void cr4_bits_not_allowed_exit(void **state)
{
	vmx_control_set(vcpu, CTL_CR4, 0);
	assert_int_equal(~FAKE(CR4_GUEST_HOST_MASK), CR4_PGE | CR4_PSE | CR4_TSD | CR4_SMEP);

	/* Nor may the guest own a bit that the processor does not allow in VMX operation. */
	vmx_caps.cr4_fixed1 &= ~CR4_SMEP;
	vmx_control_set(vcpu, CTL_CR4, 0);
	assert_int_equal(~FAKE(CR4_GUEST_HOST_MASK), CR4_PGE | CR4_PSE | CR4_TSD);

	FAKE(GUEST_CR4) |= CR4_PGE;	/* by the guest, without an exit */
	assert_int_equal(vmx_control_get(vcpu, CTL_CR4), CR4_PGE);
}

static void fill_pdptes(u64 first)
{
	for (unsigned i = 0; i < 4; i++)
		vcpu->pdptes[i] = first + i;
}

static void pdptes_are_loaded_as_mov_does(void **state)
{
	vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_ET);
	vmx_control_set(vcpu, CTL_CR4, CR4_PAE);
	fill_pdptes(0x1001);
	vmx_control_set(vcpu, CTL_CR3, 0x2000);
	assert_false(WRITTEN(guest_pdpte(0)));	/* paging is off */
	vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG | CR0_ET);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(FAKE(guest_pdpte(i)), 0x1001 + i);

	/* The guest has loaded other PDPTEs since, without an exit: a write that loads none must keep those. */
	FAKE(guest_pdpte(0)) = 0x9001;
	vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG | CR0_ET | CR0_NE);
	vmx_control_set(vcpu, CTL_CR4, CR4_PAE | CR4_MCE);
	vmx_control_set(vcpu, CTL_EFER, EFER_NXE);
	assert_int_equal(FAKE(guest_pdpte(0)), 0x9001);

	fill_pdptes(0x3001);
	vmx_control_set(vcpu, CTL_CR4, CR4_PAE | CR4_MCE | CR4_PGE);
	assert_int_equal(FAKE(guest_pdpte(0)), 0x3001);
	fill_pdptes(0x4001);
	vmx_control_set(vcpu, CTL_CR3, 0x5000);
	assert_int_equal(FAKE(guest_pdpte(3)), 0x4004);
}

static void long_mode_has_no_pdptes(void **state)
{
	fill_pdptes(0x1001);
	vmx_control_set(vcpu, CTL_CR4, CR4_PAE);
	vmx_control_set(vcpu, CTL_EFER, EFER_LME);
	vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG | CR0_ET);
	assert_false(WRITTEN(guest_pdpte(0)));
}

static void paging_controls_flush(void **state)
{
	static const u8 controls[] = { CTL_CR0, CTL_CR3, CTL_CR4, CTL_EFER };

	for (unsigned i = 0; i < ARRAY_SIZE(controls); i++) {
		flushes = 0;
		vmx_control_set(vcpu, controls[i], 0);
		assert_int_equal(flushes, 1);
	}
	vmx_control_set(vcpu, CTL_DR7, 0x400);
	assert_int_equal(flushes, 1);
}

static void segments_round_trip(void **state)
{
	const struct segment code = {
		.base = 0x1000, .limit = 0xfffff, .selector = 0x33, .type = 11,
		.dpl = 3, .s = true, .present = true, .l = true, .g = true,
	};
	const struct segment none = { .base = 0x5000, .unusable = true, .type = 3 };
	const struct segment fresh = { .limit = 0xffff, .type = 2, .s = true, .present = true };
	struct segment read;

	vmx_segment_set(vcpu, SEG_CS, &code);
	assert_int_equal(FAKE(guest_access_rights(SEG_CS)), 0xa0fb);
	vmx_segment_get(vcpu, SEG_CS, &read);
	assert_memory_equal(&read, &code, sizeof(read));

	/* VM entry refuses a usable data segment that is not marked as accessed. */
	vmx_segment_set(vcpu, SEG_DS, &fresh);
	assert_int_equal(FAKE(guest_access_rights(SEG_DS)), 0x93);

	vmx_segment_set(vcpu, SEG_GS, &none);
	assert_int_equal(FAKE(guest_access_rights(SEG_GS)), BIT(16));
	assert_int_equal(FAKE(guest_base(SEG_GS)), 0x5000);
	vmx_segment_get(vcpu, SEG_GS, &read);
	assert_true(read.unusable);
}

static void skipping_takes_the_length_of_what_exited(void **state)
{
	FAKE(EXIT_INSTRUCTION_LENGTH) = 3;
	FAKE(GUEST_RFLAGS) = RFLAGS_FIXED;
	FAKE(GUEST_INTERRUPTIBILITY) = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_NMI;
	vcpu->regs_dirty = 0;
	vcpu->exit_rip = 0xffffffff81000000;
	assert_int_equal(vmx_skip_instruction(vcpu), 0);
	assert_int_equal(vcpu->regs[REG_RIP], 0xffffffff81000003);
	assert_int_equal(FAKE(GUEST_RIP), 0xffffffff81000003);
	assert_int_equal(FAKE(GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	assert_int_equal(advanced, 0);
}

/* A single step, flags to store, or RIP wrapping in 32-bit code: core/emulate/emulate.c handles these. */
static void skipping_leaves_special_cases_to_the_slow_path(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		FAKE(EXIT_INSTRUCTION_LENGTH) = 3;
		FAKE(GUEST_RFLAGS) = RFLAGS_FIXED | (i == 0 ? RFLAGS_TF : 0);
		vcpu->regs_dirty = i == 1 ? BIT(REG_RFLAGS) : 0;
		vcpu->exit_rip = i == 2 ? 0xfffffffe : 0x1000;
		advanced = 0;
		vmx_skip_instruction(vcpu);
		assert_int_equal(advanced, 3);
	}
}

/* An EPT violation saves RF set; completing the instruction clears it, as every instruction does. */
static void skipping_clears_rf(void **state)
{
	FAKE(EXIT_INSTRUCTION_LENGTH) = 3;
	FAKE(GUEST_RFLAGS) = RFLAGS_FIXED | RFLAGS_RF | RFLAGS_IF;
	vcpu->regs_dirty = 0;
	vcpu->regs_available |= BIT(REG_RFLAGS);
	vcpu->exit_rip = 0x1000;
	advanced = 0;
	vmx_skip_instruction(vcpu);
	assert_int_equal(advanced, 0);
	assert_int_equal(FAKE(GUEST_RFLAGS), RFLAGS_FIXED | RFLAGS_IF);
	assert_false(vcpu->regs_available & BIT(REG_RFLAGS));
}

static void done_ends_the_shadow(void **state)
{
	FAKE(GUEST_INTERRUPTIBILITY) = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_NMI;
	FAKE(GUEST_RFLAGS) = RFLAGS_FIXED | RFLAGS_IF;
	vmx_instruction_done(vcpu);
	assert_int_equal(FAKE(GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	assert_int_equal(raised, 0);
}

/* The guest single-steps: the instruction that Lamina executed for it traps as well. */
static void done_reports_the_step(void **state)
{
	FAKE(GUEST_RFLAGS) = RFLAGS_FIXED | RFLAGS_TF;
	FAKE(GUEST_PENDING_DEBUG) = BIT(14) | BIT(12) | BIT(1);	/* MOV SS has hit a breakpoint */
	vmx_instruction_done(vcpu);
	assert_int_equal(raised, BIT(14) | BIT(1));
}

static void msrs(void **state)
{
	u64 value = 0;

	assert_int_equal(vmx_msr_set(vcpu, MSR_FS_BASE, 0x7000), 0);
	assert_int_equal(FAKE(guest_base(SEG_FS)), 0x7000);
	assert_int_equal(vmx_msr_get(vcpu, MSR_FS_BASE, &value), 0);
	assert_int_equal(value, 0x7000);
	assert_int_equal(vmx_msr_get(vcpu, MSR_STAR, &value), 0);
	assert_int_equal(value, 0x1000 + MSR_STAR);
	assert_int_equal(vmx_msr_get(vcpu, MSR_MISC_ENABLE, &value), -ENOENT);
	assert_int_equal(vmx_msr_set(vcpu, MSR_MISC_ENABLE, 0), -ENOENT);
	assert_int_not_equal(vmx_msr_set(vcpu, MSR_STAR, ~0ull), 0);	/* WRMSR faults */
	cpu_features.rdtscp = false;
	assert_int_equal(vmx_msr_get(vcpu, MSR_TSC_AUX, &value), -ENOENT);
}

static void pat_without_fields_is_kept_aside(void **state)
{
	u64 value;

	vmx_caps.entry = vmx_caps.exit = 0;
	assert_int_equal(vmx_msr_set(vcpu, MSR_PAT, 0x0606), 0);
	assert_false(WRITTEN(GUEST_PAT));
	assert_int_equal(vmx_msr_get(vcpu, MSR_PAT, &value), 0);
	assert_int_equal(value, 0x0606);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(long_mode_follows_paging, setup),
		cmocka_unit_test_setup(long_mode_does_not_depend_on_the_order, setup),
		cmocka_unit_test_setup(efer_goes_through_the_list_without_fields, setup),
		cmocka_unit_test_setup(cr0_reads_as_it_was_written, setup),
		cmocka_unit_test_setup(cr4_hides_the_host_bits, setup),
		cmocka_unit_test_setup(cr4_bits_not_allowed_exit, setup),
		cmocka_unit_test_setup(pdptes_are_loaded_as_mov_does, setup),
		cmocka_unit_test_setup(long_mode_has_no_pdptes, setup),
		cmocka_unit_test_setup(paging_controls_flush, setup),
		cmocka_unit_test_setup(segments_round_trip, setup),
		cmocka_unit_test_setup(skipping_takes_the_length_of_what_exited, setup),
		cmocka_unit_test_setup(skipping_leaves_special_cases_to_the_slow_path, setup),
		cmocka_unit_test_setup(skipping_clears_rf, setup),
		cmocka_unit_test_setup(done_ends_the_shadow, setup),
		cmocka_unit_test_setup(done_reports_the_step, setup),
		cmocka_unit_test_setup(msrs, setup),
		cmocka_unit_test_setup(pat_without_fields_is_kept_aside, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
