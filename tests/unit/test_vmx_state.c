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
#include "core/emulate/code.h"
#include "core/emulate/emulate.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/vmx.h"

struct vmx_caps vmx_caps;
struct cpu_features cpu_features;
const u32 vmx_live_msrs[LIVE_MSRS] = {
	[LIVE_STAR] = MSR_STAR, [LIVE_LSTAR] = MSR_LSTAR, [LIVE_CSTAR] = MSR_CSTAR,
	[LIVE_SYSCALL_MASK] = MSR_SYSCALL_MASK, [LIVE_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
	[LIVE_TSC_AUX] = MSR_TSC_AUX,
};

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
	vmx.vmcs.entry_controls = vmx_caps.entry;
	cr4_allowed = CR4_PAE | CR4_PGE | CR4_PSE | CR4_OSXSAVE | CR4_TSD | CR4_MCE | CR4_SMEP;
	cpu_features = (struct cpu_features){ .rdtscp = true };
	flushes = advanced = 0;
	raised = 0;
	return 0;
}

static bool long_mode_control(void)
{
	assert_int_equal(FAKE(ENTRY_CONTROLS), vmx.vmcs.entry_controls);
	assert_int_equal(vmx.vmcs.entry_controls & ~ENTRY_IA32E_GUEST, vmx_caps.entry);
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
	vmx_caps.entry = vmx_caps.exit = vmx.vmcs.entry_controls = 0;
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
		assert_false(WRITTEN(GUEST_RIP));
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

/* --- what is read and written as it is --- */

static void registers_are_fetched_from_their_fields(void **state)
{
	static const u8 registers[] = { REG_RSP, REG_RIP, REG_RFLAGS };
	u32 available = 0;

	FAKE(GUEST_RSP) = 0x1000 + REG_RSP;
	FAKE(GUEST_RIP) = 0x1000 + REG_RIP;
	FAKE(GUEST_RFLAGS) = 0x1000 + REG_RFLAGS;
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		available |= BIT(registers[i]);
		vmx_reg_fetch(vcpu, registers[i]);
		assert_int_equal(vcpu->regs_available, available);
		for (unsigned j = 0; j < ARRAY_SIZE(registers); j++)
			assert_int_equal(vcpu->regs[registers[j]], j <= i ? 0x1000 + registers[j] : 0);
	}
}

static void writing_one_control_leaves_the_others(void **state)
{
	static const u8 controls[] = { CTL_CR0, CTL_CR3, CTL_CR4, CTL_EFER, CTL_DR7 };
	static const u64 values[] = { CR0_PE | CR0_ET, 0x3000, CR4_PAE | CR4_PGE, EFER_NXE, 0x401 };
	u64 expected[ARRAY_SIZE(controls)];

	vmx_control_set(vcpu, CTL_CR0, CR0_ET);
	for (unsigned i = 0; i < ARRAY_SIZE(controls); i++)
		expected[i] = vmx_control_get(vcpu, controls[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(controls); i++) {
		expected[i] = values[i];
		vmx_control_set(vcpu, controls[i], values[i]);
		for (unsigned j = 0; j < ARRAY_SIZE(controls); j++)
			assert_int_equal(vmx_control_get(vcpu, controls[j]), expected[j]);
	}
}

static void cr3_and_dr7_are_in_the_vmcs(void **state)
{
	vmx_control_set(vcpu, CTL_CR3, 0x12345000);
	vmx_control_set(vcpu, CTL_DR7, 0x455);
	assert_int_equal(FAKE(GUEST_CR3), 0x12345000);
	assert_int_equal(FAKE(GUEST_DR7), 0x455);
	assert_int_equal(vmx_control_get(vcpu, CTL_CR3), 0x12345000);
	assert_int_equal(vmx_control_get(vcpu, CTL_DR7), 0x455);
}

/* SDM, "XSAVE-Supported Features": x87 state is always enabled, and nothing else is there. */
static void xcr0_without_xsave_is_1(void **state)
{
	assert_int_equal(vmx_control_get(vcpu, CTL_XCR0), 1);
}

/* SDM, "Guest Register State", "Format of Access Rights" */
static void each_attribute_has_its_bit_of_the_access_rights(void **state)
{
	static const struct {
		struct segment segment;
		u32 rights;
	} cases[] = {
		{ { .type = 0 }, 0 }, { { .type = 15 }, 0xf }, { { .type = 10 }, 0xa },
		{ { .type = 3, .s = true }, 0x13 }, { { .type = 2, .s = true }, 0x13 },
		{ { .dpl = 1 }, 0x20 }, { { .dpl = 2 }, 0x40 }, { { .dpl = 3 }, 0x60 },
		{ { .present = true }, 0x80 }, { { .avl = true }, 0x1000 }, { { .l = true }, 0x2000 },
		{ { .db = true }, 0x4000 }, { { .g = true }, 0x8000 }, { { .unusable = true }, 0x10000 },
		{ { .dpl = 3, .unusable = true }, 0x10060 },	/* SS.DPL is the CPL all the same */
		{ { .type = 11, .s = true, .present = true, .unusable = true }, 0x10000 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct segment read, expected = cases[i].segment;

		vmx_segment_set(vcpu, SEG_ES, &cases[i].segment);
		assert_int_equal(FAKE(guest_access_rights(SEG_ES)), cases[i].rights);
		if (expected.unusable)
			expected = (struct segment){ .unusable = true, .dpl = expected.dpl };
		expected.type |= expected.s;	/* accessed */
		vmx_segment_get(vcpu, SEG_ES, &read);
		assert_memory_equal(&read, &expected, sizeof(read));
	}
}

/* SDM, "Field Encoding in VMCS": ES, CS, SS, DS, FS, GS, LDTR and TR follow each other. */
static void each_segment_has_its_fields(void **state)
{
	for (enum vcpu_segment i = SEG_ES; i <= SEG_TR; i++) {
		const struct segment segment = { .selector = 8 * i, .base = 0x100 + i, .limit = 0x200 + i };
		struct segment read;

		vmx_segment_set(vcpu, i, &segment);
		assert_int_equal(fake_vmcs[0x800 + 2 * i], 8 * i);
		assert_int_equal(fake_vmcs[0x6806 + 2 * i], 0x100 + i);
		assert_int_equal(fake_vmcs[0x4800 + 2 * i], 0x200 + i);
		vmx_segment_get(vcpu, i, &read);
		assert_memory_equal(&read, &segment, sizeof(read));
	}
}

static void descriptor_tables(void **state)
{
	const struct descriptor_table gdt = { 0xffff800000001000, 0x7f }, idt = { 0xffff800000002000, 0xfff };
	struct descriptor_table read;

	vmx_table_set(vcpu, false, &gdt);
	vmx_table_set(vcpu, true, &idt);
	assert_int_equal(fake_vmcs[0x6816], gdt.base);
	assert_int_equal(fake_vmcs[0x4810], gdt.limit);
	assert_int_equal(fake_vmcs[0x6818], idt.base);
	assert_int_equal(fake_vmcs[0x4812], idt.limit);
	vmx_table_get(vcpu, false, &read);
	assert_true(read.base == gdt.base && read.limit == gdt.limit);
	vmx_table_get(vcpu, true, &read);
	assert_true(read.base == idt.base && read.limit == idt.limit);
}

static void msrs_that_the_vmcs_holds(void **state)
{
	static const struct {
		u32 msr, encoding;
	} fields[] = {
		{ 0xc0000100, 0x680e }, { 0xc0000101, 0x6810 }, { 0x174, 0x482a }, { 0x175, 0x6824 },
		{ 0x176, 0x6826 }, { 0x1d9, 0x2802 }, { 0x277, 0x2804 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		u64 value = 0;

		assert_int_equal(vmx_msr_set(vcpu, fields[i].msr, 0x1234 + i), 0);
		assert_int_equal(fake_vmcs[fields[i].encoding], 0x1234 + i);
		assert_int_equal(vmx_msr_get(vcpu, fields[i].msr, &value), 0);
		assert_int_equal(value, 0x1234 + i);
	}
}

static void live_msrs_are_in_the_processor(void **state)
{
	u64 value;

	for (unsigned i = 0; i < ARRAY_SIZE(vmx_live_msrs); i++) {
		assert_int_equal(vmx_msr_get(vcpu, vmx_live_msrs[i], &value), 0);
		assert_int_equal(value, 0x1000 + vmx_live_msrs[i]);
		assert_int_equal(vmx_msr_set(vcpu, vmx_live_msrs[i], 5), 0);
		assert_int_equal(vmx_msr_set(vcpu, vmx_live_msrs[i], ~0ull), -EFAULT);
	}
	cpu_features.rdtscp = false;	/* the processor may have no TSC_AUX then */
	assert_int_equal(vmx_msr_set(vcpu, MSR_TSC_AUX, 5), -ENOENT);
	assert_int_equal(vmx_msr_set(vcpu, MSR_STAR, 5), 0);
}

static void the_tsc_offset_goes_to_the_vmcs(void **state)
{
	vcpu->tsc_offset = 0xfffffffffffff000;
	vmx_tsc_offset_changed(vcpu);
	assert_int_equal(fake_vmcs[0x2010], 0xfffffffffffff000);
}

/* --- modes --- */

/* Where code is fetched: the mode by EFER.LMA, CS.L and CS.D; no base in 64-bit mode. */
static void where_code_is(void **state)
{
	static const struct {
		u64 cr0, cr4, efer;
		u32 rights;
		u8 mode, paging;
		u64 cs_base;
	} cases[] = {
		{ 0, 0, 0, 0x9b, INSN_MODE_16, CODE_UNPAGED, 0xf0000 },
		{ CR0_PE, CR4_PAE, EFER_LME, 0x409b, INSN_MODE_32, CODE_UNPAGED, 0xf0000 },
		{ CR0_PE | CR0_PG, 0, 0, 0x409b, INSN_MODE_32, CODE_OTHER_PAGING, 0xf0000 },
		/* L has no meaning outside IA-32e mode. */
		{ CR0_PE | CR0_PG, CR4_PAE, 0, 0x209b, INSN_MODE_16, CODE_OTHER_PAGING, 0xf0000 },
		{ CR0_PE | CR0_PG, CR4_PAE, EFER_LMA, 0x209b, INSN_MODE_64, CODE_4_LEVEL, 0 },
		{ CR0_PE | CR0_PG, CR4_PAE, EFER_LMA, 0x409b, INSN_MODE_32, CODE_4_LEVEL, 0xf0000 },
		{ CR0_PE | CR0_PG, CR4_PAE, EFER_LMA, 0x9b, INSN_MODE_16, CODE_4_LEVEL, 0xf0000 },
		{ CR0_PE | CR0_PG, CR4_PAE | CR4_LA57, EFER_LMA, 0x209b, INSN_MODE_64, CODE_OTHER_PAGING, 0 },
	};

	FAKE(GUEST_CR3) = 0x7000;
	FAKE(guest_base(SEG_CS)) = 0xf0000;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct code_view view = { .cs_base = 1, .cr3 = 1 };

		FAKE(GUEST_CR0) = cases[i].cr0;
		FAKE(GUEST_CR4) = cases[i].cr4;
		FAKE(guest_access_rights(SEG_CS)) = cases[i].rights;
		vmx.vmcs.efer = cases[i].efer;
		vmx_code_view(vcpu, &view);
		assert_int_equal(view.mode, cases[i].mode);
		assert_int_equal(view.paging, cases[i].paging);
		assert_int_equal(view.cs_base, cases[i].cs_base);
		assert_int_equal(view.cr3, cases[i].paging == CODE_4_LEVEL ? 0x7000 : 0);
	}
}

/* Only a busy 16-bit TSS is made a 64-bit one; the type shares the field with the other attributes. */
static void long_mode_widens_a_16_bit_tss_only(void **state)
{
	static const struct {
		u32 before, after;
	} cases[] = {
		{ 0x83, 0x8b }, { 0x10083, 0x1008b }, { 0x8b, 0x8b }, { 0x81, 0x81 }, { 0x82, 0x82 }, { 0x89, 0x89 },
		{ 0x87, 0x87 },
	};

	vmx_control_set(vcpu, CTL_CR4, CR4_PAE);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		FAKE(guest_access_rights(SEG_TR)) = cases[i].before;
		vmx_control_set(vcpu, CTL_EFER, EFER_LME);
		vmx_control_set(vcpu, CTL_CR0, CR0_PE);
		assert_int_equal(FAKE(guest_access_rights(SEG_TR)), cases[i].before);
		vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG);
		assert_int_equal(FAKE(guest_access_rights(SEG_TR)), cases[i].after);
		vmx_control_set(vcpu, CTL_CR0, CR0_PE);
	}
}

/* SDM, "PDPTE Registers": writes that change one of these bits load them, and no other does. */
static void which_changes_load_pdptes(void **state)
{
	static const struct {
		u8 control;
		u64 bit;
		bool loads;
	} cases[] = {
		{ CTL_CR0, CR0_CD, true }, { CTL_CR0, CR0_NW, true }, { CTL_CR0, CR0_WP, false },
		{ CTL_CR0, CR0_TS, false }, { CTL_CR0, CR0_AM, false }, { CTL_CR4, CR4_PGE, true },
		{ CTL_CR4, CR4_PSE, true }, { CTL_CR4, CR4_SMEP, true }, { CTL_CR4, CR4_TSD, false },
		{ CTL_CR4, CR4_OSXSAVE, false }, { CTL_CR3, 0x1000, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG | CR0_ET);
		vmx_control_set(vcpu, CTL_CR4, CR4_PAE);
		fill_pdptes(0x8001);
		vmx_control_set(vcpu, cases[i].control, vmx_control_get(vcpu, cases[i].control) | cases[i].bit);
		assert_int_equal(FAKE(guest_pdpte(0)), cases[i].loads ? 0x8001 : 0);
		assert_int_equal(FAKE(guest_pdpte(3)), cases[i].loads ? 0x8004 : 0);

		/* And back. */
		fill_pdptes(0x9001);
		vmx_control_set(vcpu, cases[i].control, vmx_control_get(vcpu, cases[i].control) & ~cases[i].bit);
		assert_int_equal(FAKE(guest_pdpte(0)), cases[i].loads ? 0x9001 : 0);
	}
}

static void entering_pae_paging_loads_pdptes(void **state)
{
	vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG | CR0_ET);
	fill_pdptes(0x8001);
	vmx_control_set(vcpu, CTL_CR3, 0x1000);
	assert_false(WRITTEN(guest_pdpte(0)));		/* 32-bit paging has none */
	vmx_control_set(vcpu, CTL_CR4, CR4_PAE);
	assert_int_equal(FAKE(guest_pdpte(0)), 0x8001);
}

static void cr0_is_what_vmx_needs(void **state)
{
	vmx_control_set(vcpu, CTL_CR0, 0);
	assert_int_equal(FAKE(GUEST_CR0), CR0_NE | CR0_ET);	/* PE and PG are free: unrestricted guest */
	assert_int_equal(FAKE(CR0_READ_SHADOW), CR0_ET);	/* hard-wired to 1 */
	/* SDM, "Exception Bitmap": #DB, #AC, #MC, and #MF while the guest's NE is 0. */
	assert_int_equal(FAKE(EXCEPTION_BITMAP), 1 << 1 | 1 << 17 | 1 << 18 | 1 << 16);
	vmx_control_set(vcpu, CTL_CR0, CR0_NE);
	assert_int_equal(FAKE(EXCEPTION_BITMAP), 1 << 1 | 1 << 17 | 1 << 18);
	vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG | CR0_CD | CR0_NW | CR0_WP);
	assert_int_equal(FAKE(GUEST_CR0), CR0_PE | CR0_PG | CR0_WP | CR0_NE | CR0_ET);
	assert_int_equal(FAKE(CR0_READ_SHADOW), CR0_PE | CR0_PG | CR0_CD | CR0_NW | CR0_WP | CR0_ET);
}

/* --- instructions --- */

/* From 4 GiB on 64-bit code goes straight on; at the boundary itself 32-bit code would wrap. */
static void skipping_up_to_the_end_of_4_gib(void **state)
{
	static const struct {
		u64 rip;
		u32 length;
		bool plain;
	} cases[] = {
		{ 0xfffffffc, 3, true }, { 0xfffffffd, 3, false }, { 0xfffffff0, 15, true }, { 0xfffffff1, 15, false },
		{ 0x100000000, 2, true }, { 0x5fffffffd, 2, true }, { 0x5fffffffe, 2, false },
	};

	FAKE(GUEST_RFLAGS) = RFLAGS_FIXED;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		advanced = 0;
		vcpu->exit_rip = cases[i].rip;
		vmx_step_over(vcpu, cases[i].length);
		assert_int_equal(advanced, cases[i].plain ? 0 : cases[i].length);
		if (cases[i].plain)
			assert_int_equal(FAKE(GUEST_RIP), cases[i].rip + cases[i].length);
	}
	assert_false(WRITTEN(GUEST_RFLAGS));		/* RF was clear */
	assert_false(WRITTEN(GUEST_INTERRUPTIBILITY));	/* and nothing was blocked */
}

static void each_shadow_ends(void **state)
{
	static const u32 shadows[] = { BIT(0), BIT(1) };

	for (unsigned i = 0; i < ARRAY_SIZE(shadows); i++) {
		FAKE(GUEST_INTERRUPTIBILITY) = 0x1c | shadows[i];
		vmx_end_shadow();
		assert_int_equal(FAKE(GUEST_INTERRUPTIBILITY), 0x1c);
	}
}

static void a_step_reports_each_breakpoint_that_is_pending(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		FAKE(GUEST_RFLAGS) = RFLAGS_FIXED | RFLAGS_TF;
		FAKE(GUEST_PENDING_DEBUG) = BIT_ULL(i);
		vcpu->regs_available = 0;
		vmx_instruction_done(vcpu);
		assert_int_equal(raised, BIT(14) | BIT(i));
	}
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
		cmocka_unit_test_setup(registers_are_fetched_from_their_fields, setup),
		cmocka_unit_test_setup(writing_one_control_leaves_the_others, setup),
		cmocka_unit_test_setup(cr3_and_dr7_are_in_the_vmcs, setup),
		cmocka_unit_test_setup(xcr0_without_xsave_is_1, setup),
		cmocka_unit_test_setup(each_attribute_has_its_bit_of_the_access_rights, setup),
		cmocka_unit_test_setup(each_segment_has_its_fields, setup),
		cmocka_unit_test_setup(descriptor_tables, setup),
		cmocka_unit_test_setup(msrs_that_the_vmcs_holds, setup),
		cmocka_unit_test_setup(live_msrs_are_in_the_processor, setup),
		cmocka_unit_test_setup(the_tsc_offset_goes_to_the_vmcs, setup),
		cmocka_unit_test_setup(where_code_is, setup),
		cmocka_unit_test_setup(long_mode_widens_a_16_bit_tss_only, setup),
		cmocka_unit_test_setup(which_changes_load_pdptes, setup),
		cmocka_unit_test_setup(entering_pae_paging_loads_pdptes, setup),
		cmocka_unit_test_setup(cr0_is_what_vmx_needs, setup),
		cmocka_unit_test_setup(skipping_up_to_the_end_of_4_gib, setup),
		cmocka_unit_test_setup(each_shadow_ends, setup),
		cmocka_unit_test_setup(a_step_reports_each_breakpoint_that_is_pending, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
