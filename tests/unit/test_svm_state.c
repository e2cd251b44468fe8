/* SPDX-License-Identifier: MIT */
/*
 * Guest state in the VMCB: where each register is, what the guest reads of what it wrote, which clean
 * bits a change clears, and when the TLB is flushed.
 * AMD APM vol. 2, "Layout of VMCB", "VMCB Clean Field", "Segment State in the VMCB", "TLB Flush".
 */
/* link: tests/unit/fake_nsvm.c svm/state.c tests/unit/fake_cpu.c */
#include "fake_cpu.h"

#include <string.h>

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/x86.h"
#include "core/emulate/code.h"
#include "svm/svm.h"

struct cpu_features cpu_features;
struct svm_features svm_features;

static struct vmcb vmcb;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;

static const struct vcpu_ops ops = { .reg_fetch = svm_reg_fetch };

static int set_up(void **state)
{
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&svm, 0, sizeof(svm));
	svm.vmcb = &vmcb;
	svm.efer_shown = ~EFER_SVME;
	vcpu->ops = &ops;
	vmcb.control.clean = CLEAN_ALL;
	cpu_features = (struct cpu_features){ .rdtscp = true, .xsave = true };
	svm_features = (struct svm_features){ 0 };
	return 0;
}

/* These clean bits, and no other, have been cleared since the last call. */
static void expect_dirty(u32 bits)
{
	assert_int_equal(vmcb.control.clean, CLEAN_ALL & ~bits);
	vmcb.control.clean = CLEAN_ALL;
}

/* 1: the entire TLB. */
static void expect_flush(void)
{
	assert_int_equal(vmcb.control.tlb_control, 1);
	vmcb.control.tlb_control = 0;
}

static void expect_cr_and_flush(void)
{
	expect_dirty(CLEAN_CR);
	expect_flush();
}

/* --- registers that VMRUN switches --- */

static void lazy_registers_are_fetched_one_by_one(void **state)
{
	static const struct {
		enum vcpu_reg reg;
		u64 *field;
	} lazy[] = {
		{ REG_RSP, &vmcb.save.rsp }, { REG_RIP, &vmcb.save.rip }, { REG_RFLAGS, &vmcb.save.rflags },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(lazy); i++)
		*lazy[i].field = 0x1111222233334440 + i;
	for (unsigned i = 0; i < ARRAY_SIZE(lazy); i++) {
		memset(vcpu->regs, 0, sizeof(vcpu->regs));
		vcpu->regs_available = 0;
		assert_int_equal(vcpu_reg_read(vcpu, lazy[i].reg), 0x1111222233334440 + i);
		assert_int_equal(vcpu->regs_available, BIT(lazy[i].reg));
		for (unsigned reg = 0; reg < REG_COUNT; reg++)
			assert_true(reg == lazy[i].reg || !vcpu->regs[reg]);
	}
	assert_int_equal(vcpu->regs_dirty, 0);
	expect_dirty(0);
}

/* --- control registers --- */

static void cr0_keeps_the_caches_on_and_reads_as_written(void **state)
{
	const u64 off = CR0_CD | CR0_NW;

	svm_control_set(vcpu, CTL_CR0, off | CR0_PE);
	assert_int_equal(vmcb.save.cr0, CR0_PE | CR0_ET);
	assert_int_equal(svm_control_get(vcpu, CTL_CR0), off | CR0_PE | CR0_ET);
	/* CLTS and MOV change TS and MP in the VMCB without an exit. */
	vmcb.save.cr0 |= CR0_TS | CR0_MP;
	assert_int_equal(svm_control_get(vcpu, CTL_CR0), off | CR0_PE | CR0_ET | CR0_TS | CR0_MP);
	vmcb.save.cr0 &= ~CR0_TS;
	assert_int_equal(svm_control_get(vcpu, CTL_CR0), off | CR0_PE | CR0_ET | CR0_MP);
	svm_control_set(vcpu, CTL_CR0, CR0_PE);
	assert_int_equal(svm_control_get(vcpu, CTL_CR0), CR0_PE | CR0_ET);
}

/* Reads of CR0 exit while CD or NW hides there, and all its writes, which might clear them. */
static void cr0_exits_while_it_hides_a_bit(void **state)
{
	static const u64 hidden[] = { CR0_CD, CR0_NW, CR0_CD | CR0_NW };
	const u32 others = 0xfffefffe;

	for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++) {
		vmcb.control.intercept_cr = others;
		svm_control_set(vcpu, CTL_CR0, hidden[i]);
		assert_int_equal(vmcb.control.intercept_cr, others | BIT(0) | BIT(16));
		expect_dirty(CLEAN_INTERCEPTS | CLEAN_CR);
		svm_control_set(vcpu, CTL_CR0, CR0_PE);
		assert_int_equal(vmcb.control.intercept_cr, others);
		expect_dirty(CLEAN_INTERCEPTS | CLEAN_CR);
	}
}

/* The machine's CR4.MCE is in force, whatever the guest's is: without it a #MC is a shutdown. */
static void cr4_keeps_the_machines_mce_and_reads_as_written(void **state)
{
	static const struct {
		u64 machine, guest, in_force;
		bool reads_exit;
	} rows[] = {
		{ 0, CR4_PAE, CR4_PAE, false },
		{ 0, CR4_PAE | CR4_MCE, CR4_PAE, true },
		{ CR4_MCE | CR4_SMAP | CR4_PGE, CR4_PAE, CR4_PAE | CR4_MCE, true },
		{ CR4_MCE | CR4_SMAP | CR4_PGE, CR4_PAE | CR4_MCE, CR4_PAE | CR4_MCE, false },
	};
	const u32 others = 0xffffffef;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_cpu.cr[4] = rows[i].machine;
		vmcb.control.intercept_cr = others;
		svm_control_set(vcpu, CTL_CR4, rows[i].guest);
		assert_int_equal(vmcb.save.cr4, rows[i].in_force);
		assert_int_equal(svm_control_get(vcpu, CTL_CR4), rows[i].guest);
		assert_int_equal(vmcb.control.intercept_cr, others | (rows[i].reads_exit ? BIT(4) : 0));
		expect_dirty(CLEAN_INTERCEPTS | CLEAN_CR);
	}
}

static void cr3_is_the_vmcbs(void **state)
{
	svm_control_set(vcpu, CTL_CR3, 0x123456789000);
	assert_int_equal(vmcb.save.cr3, 0x123456789000);
	assert_int_equal(svm_control_get(vcpu, CTL_CR3), 0x123456789000);
	expect_cr_and_flush();
}

/* It is loaded here as well, and is no paging control. */
static void cr2_is_written_to_vmcb_and_register(void **state)
{
	svm_control_set(vcpu, CTL_CR2, 0xfeed0000);
	assert_int_equal(vmcb.save.cr2, 0xfeed0000);
	assert_int_equal(svm_control_get(vcpu, CTL_CR2), 0xfeed0000);
	fake_cpu_expect_only(DO_WRITE_CR, 2, 0xfeed0000);
	expect_dirty(CLEAN_CR2);
	assert_int_equal(vmcb.control.tlb_control, 0);
}

static void debug_registers_are_the_vmcbs(void **state)
{
	svm_control_set(vcpu, CTL_DR6, 0xffff4ff0);
	assert_int_equal(vmcb.save.dr6, 0xffff4ff0);
	expect_dirty(CLEAN_DR);
	svm_control_set(vcpu, CTL_DR7, 0x455);
	assert_int_equal(vmcb.save.dr7, 0x455);
	expect_dirty(CLEAN_DR);
	assert_int_equal(vmcb.control.tlb_control, 0);
	assert_int_equal(svm_control_get(vcpu, CTL_DR6), 0xffff4ff0);
	assert_int_equal(svm_control_get(vcpu, CTL_DR7), 0x455);
	assert_int_equal(fake_cpu_writes(), 0);
}

static void xcr0_stays_in_the_processor(void **state)
{
	svm_control_set(vcpu, CTL_XCR0, 0x700000007);
	fake_cpu_expect_only(DO_XSETBV, 0, 0x700000007);
	expect_dirty(0);
	assert_int_equal(vmcb.control.tlb_control, 0);
	assert_int_equal(svm_control_get(vcpu, CTL_XCR0), xgetbv0());
	assert_int_not_equal(xgetbv0(), 1);	/* any build host has SSE enabled */
	cpu_features.xsave = false;
	assert_int_equal(svm_control_get(vcpu, CTL_XCR0), 1);
}

/* VMRUN demands EFER.SVME, which the guest does not see. */
static void efer_hides_svme(void **state)
{
	svm_control_set(vcpu, CTL_EFER, EFER_NXE | EFER_SCE);
	assert_int_equal(vmcb.save.efer, EFER_NXE | EFER_SCE | EFER_SVME);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), EFER_NXE | EFER_SCE);
	expect_cr_and_flush();
}

/* "Activating Long Mode": LMA is set where both LME and PG are, in any order. */
static void long_mode_is_active_with_lme_and_paging(void **state)
{
	svm_control_set(vcpu, CTL_EFER, EFER_LME);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), EFER_LME);
	svm_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), EFER_LME | EFER_LMA);
	expect_flush();
	svm_control_set(vcpu, CTL_CR0, CR0_PE);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), EFER_LME);
	svm_control_set(vcpu, CTL_EFER, 0);
	svm_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), 0);
	svm_control_set(vcpu, CTL_EFER, EFER_LME);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), EFER_LME | EFER_LMA);
	svm_control_set(vcpu, CTL_EFER, EFER_LMA);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), 0);
}

/* What is written to a register reaches no field of another. */
static void each_control_has_its_field(void **state)
{
	static const struct {
		enum vcpu_control control;
		u64 *field;
		u64 value, stored;
	} rows[] = {
		{ CTL_CR0, &vmcb.save.cr0, CR0_PE | CR0_ET, CR0_PE | CR0_ET },
		{ CTL_CR2, &vmcb.save.cr2, 0x2000, 0x2000 },
		{ CTL_CR3, &vmcb.save.cr3, 0x3000, 0x3000 },
		{ CTL_CR4, &vmcb.save.cr4, CR4_PAE, CR4_PAE },
		{ CTL_EFER, &vmcb.save.efer, EFER_NXE, EFER_NXE | EFER_SVME },
		{ CTL_DR6, &vmcb.save.dr6, 0x6000, 0x6000 },
		{ CTL_DR7, &vmcb.save.dr7, 0x7000, 0x7000 },
		{ CTL_XCR0, NULL, 1, 0 },
	};
	struct vmcb_save before;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		before = vmcb.save;
		svm_control_set(vcpu, rows[i].control, rows[i].value);
		if (rows[i].field) {
			assert_int_equal(*rows[i].field, rows[i].stored);
			*rows[i].field = 0;
		}
		assert_memory_equal(&vmcb.save, &before, sizeof(before));
	}
}

static void each_paging_control_flushes(void **state)
{
	static const u8 controls[] = { CTL_CR0, CTL_CR3, CTL_CR4, CTL_EFER };

	for (unsigned i = 0; i < ARRAY_SIZE(controls); i++) {
		svm_control_set(vcpu, controls[i], 0);
		expect_flush();
	}
}

/* 3: this guest's entries. A flush of the entire TLB that is due already covers them. */
static void a_flush_is_by_asid_where_there_is_one(void **state)
{
	svm_features.flush_by_asid = true;
	svm_control_set(vcpu, CTL_CR3, 0x1000);
	assert_int_equal(vmcb.control.tlb_control, 3);
	vmcb.control.tlb_control = 1;
	svm_control_set(vcpu, CTL_CR3, 0x2000);
	assert_int_equal(vmcb.control.tlb_control, 1);
}

/* --- segments and tables --- */

/* The attributes are bits 55:52 and 47:40 of the descriptor: "Segment State in the VMCB". */
static const struct {
	u16 attributes;
	struct segment segment;
} packed[] = {
	{ 0x080, { .present = true } },
	{ 0x08f, { .present = true, .type = 15 } },
	{ 0x090, { .present = true, .s = true } },
	{ 0x0a0, { .present = true, .dpl = 1 } },
	{ 0x0e0, { .present = true, .dpl = 3 } },
	{ 0x180, { .present = true, .avl = true } },
	{ 0x280, { .present = true, .l = true } },
	{ 0x480, { .present = true, .db = true } },
	{ 0x880, { .present = true, .g = true } },
	{ 0xafb, { .present = true, .g = true, .l = true, .s = true, .dpl = 3, .type = 11 } },
};

static void each_attribute_has_its_bit(void **state)
{
	struct segment read, written;

	for (unsigned i = 0; i < ARRAY_SIZE(packed); i++) {
		written = packed[i].segment;
		written.base = 0x1122334455667788;
		written.limit = 0x99aabbcc;
		written.selector = 0xddee;
		svm_segment_set(vcpu, SEG_DS, &written);
		assert_int_equal(vmcb.save.ds.attributes, packed[i].attributes);
		assert_int_equal(vmcb.save.ds.base, 0x1122334455667788);
		assert_int_equal(vmcb.save.ds.limit, 0x99aabbcc);
		assert_int_equal(vmcb.save.ds.selector, 0xddee);
		expect_dirty(CLEAN_SEGMENTS);
		svm_segment_get(vcpu, SEG_DS, &read);
		assert_memory_equal(&read, &written, sizeof(read));
	}
}

/* Values that are wider than the descriptor's fields do not spill into their neighbours. */
static void attributes_are_cut_to_their_width(void **state)
{
	const struct segment wide = { .present = true, .type = 0xf0, .dpl = 0xfc };

	svm_segment_set(vcpu, SEG_FS, &wide);
	assert_int_equal(vmcb.save.fs.attributes, 0x080);
}

static void a_segment_that_is_not_present_keeps_its_attributes(void **state)
{
	const struct segment absent = { .type = 2, .s = true, .dpl = 3 };
	struct segment read;

	svm_segment_set(vcpu, SEG_ES, &absent);
	assert_int_equal(vmcb.save.es.attributes, 0x072);
	svm_segment_get(vcpu, SEG_ES, &read);
	assert_int_equal(read.type, 2);
	assert_false(read.present);
}

static void a_null_selector_is_a_segment_that_is_not_present(void **state)
{
	const struct segment none = { .unusable = true, .base = 0x5000, .type = 3, .s = true, .present = true };
	struct segment read;

	svm_segment_set(vcpu, SEG_GS, &none);
	assert_int_equal(vmcb.save.gs.attributes, 0);
	assert_int_equal(vmcb.save.gs.base, 0x5000);
	svm_segment_get(vcpu, SEG_GS, &read);
	assert_true(read.unusable);
	assert_false(read.present);
}

/* The CPL has a field of its own: the DPL in the attributes of SS may be stale. */
static void cpl_is_the_dpl_of_ss_alone(void **state)
{
	const struct segment user = { .present = true, .s = true, .dpl = 3, .type = 3 };
	struct segment read;

	svm_segment_set(vcpu, SEG_CS, &user);
	assert_int_equal(vmcb.save.cpl, 0);
	svm_segment_set(vcpu, SEG_SS, &user);
	assert_int_equal(vmcb.save.cpl, 3);
	vmcb.save.cpl = 1;
	svm_segment_get(vcpu, SEG_SS, &read);
	assert_int_equal(read.dpl, 1);
	svm_segment_get(vcpu, SEG_CS, &read);
	assert_int_equal(read.dpl, 3);
}

static void each_segment_has_its_place(void **state)
{
	static struct vmcb_segment *const places[SEG_COUNT] = {
		[SEG_ES] = &vmcb.save.es, [SEG_CS] = &vmcb.save.cs, [SEG_SS] = &vmcb.save.ss,
		[SEG_DS] = &vmcb.save.ds, [SEG_FS] = &vmcb.save.fs, [SEG_GS] = &vmcb.save.gs,
		[SEG_LDTR] = &vmcb.save.ldtr, [SEG_TR] = &vmcb.save.tr,
	};

	for (unsigned i = 0; i < SEG_COUNT; i++)
		svm_segment_set(vcpu, i, &(struct segment){ .present = true, .selector = 8 * (u16)i + 8 });
	for (unsigned i = 0; i < SEG_COUNT; i++)
		assert_int_equal(places[i]->selector, 8 * i + 8);
}

static void descriptor_tables(void **state)
{
	struct descriptor_table read;

	svm_table_set(vcpu, false, &(struct descriptor_table){ .base = 0x1000, .limit = 0x27 });
	expect_dirty(CLEAN_TABLES);
	svm_table_set(vcpu, true, &(struct descriptor_table){ .base = 0xffff800000002000, .limit = 0xfff });
	expect_dirty(CLEAN_TABLES);
	assert_int_equal(vmcb.save.gdtr.base, 0x1000);
	assert_int_equal(vmcb.save.gdtr.limit, 0x27);
	assert_int_equal(vmcb.save.idtr.base, 0xffff800000002000);
	assert_int_equal(vmcb.save.idtr.limit, 0xfff);
	svm_table_get(vcpu, false, &read);
	assert_int_equal(read.base, 0x1000);
	assert_int_equal(read.limit, 0x27);
	svm_table_get(vcpu, true, &read);
	assert_int_equal(read.base, 0xffff800000002000);
	assert_int_equal(read.limit, 0xfff);
}

/* --- what code is executed --- */

static void code_is_seen_in_the_mode_of_the_segment(void **state)
{
	static const struct {
		u64 efer;
		u16 attributes;
		u8 mode;
		u64 base;
	} rows[] = {
		{ 0, 0, INSN_MODE_16, 0x7000 },
		{ 0, ATTRIBUTE_DB, INSN_MODE_32, 0x7000 },
		{ 0, ATTRIBUTE_L, INSN_MODE_16, 0x7000 },	/* L means nothing outside long mode */
		{ EFER_LME | EFER_LMA, 0, INSN_MODE_16, 0x7000 },
		{ EFER_LME | EFER_LMA, ATTRIBUTE_DB, INSN_MODE_32, 0x7000 },
		{ EFER_LME | EFER_LMA, ATTRIBUTE_L, INSN_MODE_64, 0 },
	};
	struct code_view view;

	vmcb.save.cs.base = 0x7000;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vmcb.save.efer = rows[i].efer;
		vmcb.save.cs.attributes = rows[i].attributes;
		svm_code_view(vcpu, &view);
		assert_int_equal(view.mode, rows[i].mode);
		assert_int_equal(view.cs_base, rows[i].base);
	}
}

static void code_is_seen_through_its_page_tables(void **state)
{
	static const struct {
		u64 cr0, efer, cr4;
		u8 paging;
	} rows[] = {
		{ CR0_PE, 0, 0, CODE_UNPAGED },
		{ CR0_PE | CR0_PG, 0, 0, CODE_OTHER_PAGING },
		{ CR0_PE | CR0_PG, 0, CR4_PAE, CODE_OTHER_PAGING },
		{ CR0_PE | CR0_PG, EFER_LME | EFER_LMA, CR4_PAE, CODE_4_LEVEL },
		{ CR0_PE | CR0_PG, EFER_LME | EFER_LMA, CR4_PAE | CR4_LA57, CODE_OTHER_PAGING },
	};
	struct code_view view;

	vmcb.save.cr3 = 0x9000;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vmcb.save.cr0 = rows[i].cr0;
		vmcb.save.efer = rows[i].efer;
		vmcb.save.cr4 = rows[i].cr4;
		svm_code_view(vcpu, &view);
		assert_int_equal(view.paging, rows[i].paging);
		assert_int_equal(view.cr3, 0x9000);
	}
}

/* --- MSRs --- */

static const struct {
	u32 msr;
	u64 *field;
	u32 dirty;
} switched[] = {
	{ 0xc0000100, &vmcb.save.fs.base, CLEAN_LBR },
	{ 0xc0000101, &vmcb.save.gs.base, CLEAN_LBR },
	{ 0xc0000102, &vmcb.save.kernel_gs_base, CLEAN_LBR },
	{ 0xc0000081, &vmcb.save.star, CLEAN_LBR },
	{ 0xc0000082, &vmcb.save.lstar, CLEAN_LBR },
	{ 0xc0000083, &vmcb.save.cstar, CLEAN_LBR },
	{ 0xc0000084, &vmcb.save.sfmask, CLEAN_LBR },
	{ 0x174, &vmcb.save.sysenter_cs, CLEAN_LBR },
	{ 0x175, &vmcb.save.sysenter_esp, CLEAN_LBR },
	{ 0x176, &vmcb.save.sysenter_eip, CLEAN_LBR },
	{ 0x277, &vmcb.save.pat, CLEAN_NESTED_PAGING },		/* with nested paging */
	{ 0x1d9, &vmcb.save.debugctl, CLEAN_LBR },		/* with the last branches */
};

static void switched_msrs_are_in_the_vmcb(void **state)
{
	u64 value = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(switched); i++) {
		assert_int_equal(svm_msr_set(vcpu, switched[i].msr, 0x8000000000000100 + i), 0);
		expect_dirty(switched[i].dirty);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(switched); i++) {
		assert_int_equal(*switched[i].field, 0x8000000000000100 + i);
		assert_int_equal(svm_msr_get(vcpu, switched[i].msr, &value), 0);
		assert_int_equal(value, 0x8000000000000100 + i);
	}
	assert_int_equal(fake_cpu_writes(), 0);
}

static void tsc_aux_stays_in_the_processor(void **state)
{
	u64 value = 0;

	assert_int_equal(svm_msr_set(vcpu, 0xc0000103, 7), 0);
	fake_cpu_expect_only(DO_WRMSR, 0xc0000103, 7);
	expect_dirty(0);
	assert_int_equal(svm_msr_get(vcpu, 0xc0000103, &value), 0);
	assert_int_equal(value, 7);
	cpu_features.rdtscp = false;
	assert_int_equal(svm_msr_set(vcpu, 0xc0000103, 8), -ENOENT);
	assert_int_equal(svm_msr_get(vcpu, 0xc0000103, &value), -ENOENT);
	assert_int_equal(fake_cpu_writes(), 0);
}

static void other_msrs_are_somebody_elses(void **state)
{
	static const u32 others[] = { MSR_TSC, MSR_EFER, MSR_MISC_ENABLE, MSR_VM_CR };
	u64 value = 5;

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(svm_msr_get(vcpu, others[i], &value), -ENOENT);
		assert_int_equal(svm_msr_set(vcpu, others[i], 1), -ENOENT);
	}
	assert_int_equal(value, 5);
	assert_int_equal(fake_cpu_writes(), 0);
	expect_dirty(0);
}

/* Clean bit 0 covers both. */
static void the_tsc_offset_goes_with_the_intercepts(void **state)
{
	vcpu->tsc_offset = -5ull;
	svm_tsc_offset_changed(vcpu);
	assert_int_equal(vmcb.control.tsc_offset, -5ull);
	expect_dirty(CLEAN_INTERCEPTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_cpu_test_setup(lazy_registers_are_fetched_one_by_one, set_up),
		fake_cpu_test_setup(cr0_keeps_the_caches_on_and_reads_as_written, set_up),
		fake_cpu_test_setup(cr0_exits_while_it_hides_a_bit, set_up),
		fake_cpu_test_setup(cr4_keeps_the_machines_mce_and_reads_as_written, set_up),
		fake_cpu_test_setup(cr3_is_the_vmcbs, set_up),
		fake_cpu_test_setup(cr2_is_written_to_vmcb_and_register, set_up),
		fake_cpu_test_setup(debug_registers_are_the_vmcbs, set_up),
		fake_cpu_test_setup(xcr0_stays_in_the_processor, set_up),
		fake_cpu_test_setup(efer_hides_svme, set_up),
		fake_cpu_test_setup(long_mode_is_active_with_lme_and_paging, set_up),
		fake_cpu_test_setup(each_control_has_its_field, set_up),
		fake_cpu_test_setup(each_paging_control_flushes, set_up),
		fake_cpu_test_setup(a_flush_is_by_asid_where_there_is_one, set_up),
		fake_cpu_test_setup(each_attribute_has_its_bit, set_up),
		fake_cpu_test_setup(attributes_are_cut_to_their_width, set_up),
		fake_cpu_test_setup(a_segment_that_is_not_present_keeps_its_attributes, set_up),
		fake_cpu_test_setup(a_null_selector_is_a_segment_that_is_not_present, set_up),
		fake_cpu_test_setup(cpl_is_the_dpl_of_ss_alone, set_up),
		fake_cpu_test_setup(each_segment_has_its_place, set_up),
		fake_cpu_test_setup(descriptor_tables, set_up),
		fake_cpu_test_setup(code_is_seen_in_the_mode_of_the_segment, set_up),
		fake_cpu_test_setup(code_is_seen_through_its_page_tables, set_up),
		fake_cpu_test_setup(switched_msrs_are_in_the_vmcb, set_up),
		fake_cpu_test_setup(tsc_aux_stays_in_the_processor, set_up),
		fake_cpu_test_setup(other_msrs_are_somebody_elses, set_up),
		fake_cpu_test_setup(the_tsc_offset_goes_with_the_intercepts, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
