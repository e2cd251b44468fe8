/* SPDX-License-Identifier: MIT */
/*
 * The policy for the guest's MSRs: what each reads as, which writes raise #GP, which MSRs exist on
 * which vendor's processors. SDM vol. 4, "Model-Specific Registers (MSRs)"; SDM vol. 3, "Memory Type
 * Range Registers", "Page Attribute Table", "Time-Stamp Counter Adjustment"; APM vol. 2, "MSRs".
 */
/* link: core/cpu/msr.c core/vm_log.c lib/log.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "arch/time/clock.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/machine_check.h"
#include "core/cpu/msr.h"
#include "core/cpu/pvclock.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

#define CANONICAL     0xffff800000000000ull
#define NOT_CANONICAL 0x0000800000000000ull
#define PHYSICAL_BITS 40
#define MICROCODE     0xdeadbeef00000000ull
#define DE_CFG	      0x0000000100000202ull	/* LFENCE serializes, and two bits more */

struct cpu_features cpu_features;
static struct vm_config config;
static struct vm vm;
static struct vcpu vcpu;
static u64 now, efer, pvclock_system, pvclock_wall;
static unsigned tsc_changes, irqchip_tsc_changes, pvclock_updates, pages, microcode_zeroed;
static bool vendor_refuses, pvclock_refuses, no_microcode, no_memory, no_de_cfg;
static u64 tsc_hz, misc_enable;
static bool apic_enabled;
static struct { u32 msr; u64 value; } vendor, irqchip, mce;

/* --- fakes of what the policy calls --- */

static int vendor_get(struct vcpu *v, u32 msr, u64 *value)
{
	*value = vendor.value;
	return vendor_refuses || vendor.msr != msr ? -ENOENT : 0;
}

static int vendor_set(struct vcpu *v, u32 msr, u64 value)
{
	vendor.msr = msr;
	vendor.value = value;
	return vendor_refuses ? -ENOENT : 0;
}

static u64 control_get(struct vcpu *v, enum vcpu_control control)
{
	assert_int_equal(control, CTL_EFER);
	return efer;
}

static void tsc_offset_changed(struct vcpu *v) { tsc_changes++; }

static struct { u32 msr; bool read, write; } passed[64];
static unsigned passed_count;

static void passthrough(struct vm *v, u32 msr, bool read, bool write)
{
	passed[passed_count].msr = msr;
	passed[passed_count].read = read;
	passed[passed_count++].write = write;
}

static const struct vcpu_ops ops = {
	.msr_get = vendor_get, .msr_set = vendor_set, .control_get = control_get,
	.tsc_offset_changed = tsc_offset_changed, .vm_msr_passthrough = passthrough,
};

static const u64 *apic_base(void *vlapic)
{
	static const u64 base = 0x1234;

	return &base;
}

static int apic_read(void *vlapic, u32 msr, u64 *value)
{
	irqchip.msr = msr;
	*value = 0x1234;
	return 0;
}

static bool apic_refuses;

static int apic_write(void *vlapic, u32 msr, u64 value)
{
	irqchip.msr = msr;
	irqchip.value = value;
	return apic_refuses ? -EINVAL : 0;
}

static void apic_tsc_changed(struct vcpu *v) { irqchip_tsc_changes++; }

static const struct irqchip_ops irqchip_ops = {
	.apic_base = apic_base, .msr_read = apic_read, .msr_write = apic_write, .tsc_changed = apic_tsc_changed,
};

u64 test_tsc(void) { return now; }
u64 vcpu_guest_tsc(const struct vcpu *v, u64 host_tsc) { return host_tsc + v->tsc_offset; }
u8 cpuid_physical_bits(const struct vcpu *v) { return PHYSICAL_BITS; }
void cpuid_misc_enable_changed(struct vcpu *v, u64 value) { misc_enable = value; }
void cpuid_apic_enabled(struct vcpu *v, bool enabled) { apic_enabled = enabled; }
u64 clock_tsc_hz(void) { return tsc_hz; }
u64 speculation_guest_capabilities(void) { return 0x2b; }

int control_write_efer(struct vcpu *v, u64 value)
{
	if (value == 0xbad)
		return -EINVAL;
	efer = value;
	return 0;
}

int pvclock_write_system(struct vcpu *v, u64 value)
{
	pvclock_system = value;
	pvclock_updates++;
	return pvclock_refuses ? -EINVAL : 0;
}

int pvclock_write_wall(struct vcpu *v, u64 value)
{
	pvclock_wall = value;
	return pvclock_refuses ? -EINVAL : 0;
}

int machine_check_read(struct vcpu *v, u32 msr, u64 *value)
{
	mce.msr = msr;
	*value = 0x77;
	return 0;
}

int machine_check_write(struct vcpu *v, u32 msr, u64 *value)
{
	mce.msr = msr;
	mce.value = *value;
	return 0;
}

int rdmsr_safe(u32 msr, u64 *value)
{
	if (msr == 0xc0011029) {
		*value = DE_CFG;
		return no_de_cfg ? -EFAULT : 0;
	}
	assert_int_equal(msr, MSR_BIOS_SIGN_ID);
	*value = MICROCODE;
	return no_microcode ? -EFAULT : 0;
}

static struct { u32 msr; u64 value; } command;

int wrmsr_safe(u32 msr, u64 value)
{
	if (msr == 0x49 || msr == 0x10b) {
		command.msr = msr;
		command.value = value;
		return value > 1 ? -EFAULT : 0;
	}
	assert_int_equal(msr, MSR_BIOS_SIGN_ID);
	assert_int_equal(value, 0);
	microcode_zeroed++;
	return no_microcode ? -EFAULT : 0;
}

void *page_alloc(void)
{
	if (no_memory)
		return NULL;
	pages++;
	return calloc(1, PAGE_SIZE);
}

void page_free(void *page)
{
	pages--;
	free(page);
}

/* --- the tests --- */

static void create(enum cpu_vendor cpu_vendor)
{
	cpu_features = (struct cpu_features){ .vendor = cpu_vendor, .family = 0x19, .rdtscp = true };
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&vendor, 0, sizeof(vendor));
	memset(&irqchip, 0, sizeof(irqchip));
	memset(&mce, 0, sizeof(mce));
	config = (struct vm_config){ .hypervisor = HYPERVISOR_LAMINA };
	vm.config = &config;
	vm.ops = vcpu.ops = &ops;
	vm.irqchip = &irqchip_ops;
	vcpu.vm = &vm;
	now = 1000000;
	efer = pvclock_system = pvclock_wall = 0;
	tsc_changes = irqchip_tsc_changes = pvclock_updates = microcode_zeroed = passed_count = 0;
	vendor_refuses = pvclock_refuses = no_microcode = no_memory = no_de_cfg = false;
	tsc_hz = 2399123457;
	apic_enabled = false;
	apic_refuses = true;
	log_set_level(LOG_ERROR);
	assert_int_equal(msr_create(&vcpu), 0);
	msr_reset(&vcpu, false);
}

static int intel(void **state)
{
	create(CPU_VENDOR_INTEL);
	return 0;
}

static int amd(void **state)
{
	create(CPU_VENDOR_AMD);
	return 0;
}

int steal_time_write(struct vcpu *v, u64 value)
{
	if (value & 2)
		return -EINVAL;
	v->steal_time.msr = value;
	return 0;
}

static int tear_down(void **state)
{
	msr_destroy(&vcpu);
	assert_null(vcpu.msrs);
	assert_int_equal(pages, 0);
	msr_destroy(&vcpu);	/* after a failed creation too */
	return 0;
}

static void assert_reads(u32 msr, u64 expected)
{
	u64 value = ~expected;

	assert_int_equal(msr_guest_read(&vcpu, msr, &value), 0);
	assert_int_equal(value, expected);
}

static void assert_no_read(u32 msr)
{
	u64 value = 0;

	assert_int_equal(msr_guest_read(&vcpu, msr, &value), -EINVAL);
}

static void assert_kept(u32 msr, u64 value)
{
	assert_int_equal(msr_guest_write(&vcpu, msr, value), 0);
	assert_reads(msr, value);
}

static void assert_refused(u32 msr, u64 value)
{
	assert_int_equal(msr_guest_write(&vcpu, msr, value), -EINVAL);
}

static void assert_absent(u32 msr)
{
	assert_no_read(msr);
	assert_refused(msr, 0);
}

/* Canonical: bits 63 to 47 are equal. */
static void addresses_are_canonical(void **state)
{
	static const u32 msrs[] = { 0x175, 0x176, 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102 };

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_kept(msrs[i], 0);
		assert_kept(msrs[i], NOT_CANONICAL - 1);
		assert_kept(msrs[i], CANONICAL);
		assert_kept(msrs[i], ~0ull);
		assert_refused(msrs[i], NOT_CANONICAL);
		assert_refused(msrs[i], CANONICAL - 1);
		assert_int_equal(vendor.value, ~0ull);
	}
}

static void the_vendor_holds_them(void **state)
{
	assert_kept(MSR_SYSENTER_CS, ~0ull);
	assert_kept(MSR_STAR, ~0ull);
	/* FMASK and TSC_AUX have 32 bits; the rest is reserved. */
	assert_kept(MSR_SYSCALL_MASK, 0xffffffff);
	assert_refused(MSR_SYSCALL_MASK, 1ull << 32);
	assert_kept(MSR_TSC_AUX, 0xffffffff);
	assert_refused(MSR_TSC_AUX, 1ull << 32);
	vendor_refuses = true;
	assert_absent(MSR_STAR);
	assert_absent(MSR_LSTAR);
	assert_absent(MSR_TSC_AUX);
	assert_absent(MSR_PAT);
}

static void tsc_aux_needs_rdtscp(void **state)
{
	cpu_features.rdtscp = false;
	assert_absent(MSR_TSC_AUX);
	msr_apply_passthrough(&vm);
	for (unsigned i = 0; i < passed_count; i++)
		assert_int_not_equal(passed[i].msr, MSR_TSC_AUX);
	assert_int_equal(passed_count, 10);
}

/* SYSENTER's three, STAR, LSTAR, CSTAR, FMASK, the three bases, TSC_AUX. */
static void without_an_exit(void **state)
{
	static const u32 msrs[] = { 0x174, 0x175, 0x176, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
				    0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103 };

	msr_apply_passthrough(&vm);
	assert_int_equal(passed_count, ARRAY_SIZE(msrs));
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_int_equal(passed[i].msr, msrs[i]);
		assert_true(passed[i].read && passed[i].write);
	}
}

/* Each of the four is there if the processor has it. SPEC_CTRL: SDM, "IA32_SPEC_CTRL"; the commands are write-only. */
static void speculation_control(void **state)
{
	static const struct { u32 msr; bool *has; } rows[] = {
		{ 0x48, &cpu_features.spec_ctrl }, { 0x49, &cpu_features.pred_cmd }, { 0x10b, &cpu_features.flush_cmd },
		{ 0x10a, &cpu_features.arch_capabilities },
	};
	unsigned others;

	msr_apply_passthrough(&vm);
	others = passed_count;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_absent(rows[i].msr);
		*rows[i].has = true;
		passed_count = 0;
		msr_apply_passthrough(&vm);
		assert_int_equal(passed_count, others + (rows[i].msr != 0x10a));
		for (unsigned n = 0; n < passed_count; n++) {
			if (passed[n].msr == rows[i].msr)
				assert_true(passed[n].write && passed[n].read == (rows[i].msr == 0x48));
			else
				assert_false(passed[n].msr == 0x10a);
		}
		*rows[i].has = false;
	}
	cpu_features.spec_ctrl = cpu_features.pred_cmd = cpu_features.flush_cmd = true;
	assert_kept(0x48, 5);
	for (u32 msr = 0x49; msr <= 0x10b; msr += 0x10b - 0x49) {
		assert_no_read(msr);
		assert_int_equal(msr_guest_write(&vcpu, msr, 1), 0);
		assert_int_equal(command.msr, msr);
		assert_int_equal(command.value, 1);
		assert_refused(msr, 2);
	}
	msr_destroy(&vcpu);
	cpu_features.arch_capabilities = true;
	assert_int_equal(msr_create(&vcpu), 0);
	msr_reset(&vcpu, false);
	assert_reads(0x10a, 0x2b);
	assert_refused(0x10a, 0x2b);
}

/* Types 0 (UC), 1 (WC), 4 (WT), 5 (WP), 6 (WB), 7 (UC-), in each of the eight fields. */
static void pat(void **state)
{
	assert_kept(MSR_PAT, 0x0007040600070406);
	assert_kept(MSR_PAT, 0x0001040506070001);
	for (unsigned field = 0; field < 8; field++) {
		for (unsigned type = 0; type < 256; type++) {
			u64 value = (u64)type << field * 8;

			if (type <= 1 || (type >= 4 && type <= 7))
				assert_kept(MSR_PAT, value);
			else
				assert_refused(MSR_PAT, value);
		}
	}
}

static void efer_goes_to_the_controls(void **state)
{
	assert_kept(MSR_EFER, 0xd01);
	assert_refused(MSR_EFER, 0xbad);
	assert_reads(MSR_EFER, 0xd01);
}

static void a_write_of_the_tsc_moves_the_adjustment(void **state)
{
	vcpu.tsc_offset = -400000ull;
	assert_reads(MSR_TSC, 600000);
	assert_reads(MSR_TSC_ADJUST, 0);
	assert_int_equal(msr_guest_write(&vcpu, MSR_TSC, 1600000), 0);
	assert_reads(MSR_TSC, 1600000);
	assert_reads(MSR_TSC_ADJUST, 1000000);
	assert_int_equal(tsc_changes, 1);
	assert_int_equal(irqchip_tsc_changes, 1);
	now += 5;
	assert_reads(MSR_TSC, 1600005);
	assert_int_equal(msr_guest_write(&vcpu, MSR_TSC, 0), 0);
	assert_reads(MSR_TSC_ADJUST, 1000000 - 1600005ull);
}

static void a_write_of_the_adjustment_moves_the_tsc(void **state)
{
	assert_reads(MSR_TSC, 1000000);
	assert_kept(MSR_TSC_ADJUST, 500);
	assert_reads(MSR_TSC, 1000500);
	assert_kept(MSR_TSC_ADJUST, 200);
	assert_reads(MSR_TSC, 1000200);
	assert_kept(MSR_TSC_ADJUST, -200ull);
	assert_reads(MSR_TSC, 999800);
	assert_int_equal(tsc_changes, 3);
	assert_int_equal(irqchip_tsc_changes, 3);
}

/* A change of the TSC updates the paravirtual clock, if the guest has enabled it. */
static void pvclock(void **state)
{
	assert_reads(MSR_PVCLOCK_SYSTEM, 0);
	assert_kept(MSR_PVCLOCK_SYSTEM, 0x5001);
	assert_int_equal(pvclock_system, 0x5001);
	pvclock_refuses = true;
	assert_refused(MSR_PVCLOCK_SYSTEM, 0x9001);
	assert_reads(MSR_PVCLOCK_SYSTEM, 0x5001);
	pvclock_refuses = false;
	pvclock_updates = 0;
	assert_int_equal(msr_guest_write(&vcpu, MSR_TSC_ADJUST, 7), 0);
	assert_int_equal(pvclock_updates, 1);
	assert_int_equal(pvclock_system, 0x5001);

	assert_int_equal(msr_guest_write(&vcpu, MSR_PVCLOCK_WALL, 0x6000), 0);
	assert_int_equal(pvclock_wall, 0x6000);
	assert_reads(MSR_PVCLOCK_WALL, 0);
	pvclock_refuses = true;
	assert_refused(MSR_PVCLOCK_WALL, 0x6000);
}

static void no_paravirtual_msrs_without_a_hypervisor(void **state)
{
	config.hypervisor = HYPERVISOR_KVM;
	assert_kept(MSR_PVCLOCK_SYSTEM, 0x5001);
	config.hypervisor = HYPERVISOR_NONE;
	assert_absent(MSR_PVCLOCK_WALL);
	assert_absent(MSR_PVCLOCK_SYSTEM);
	assert_absent(MSR_STEAL_TIME);
}

/* Eight variable ranges, the fixed ones, write-combining; read-only. */
static void mtrr_capabilities(void **state)
{
	assert_reads(MSR_MTRR_CAP, 8 | 1 << 8 | 1 << 10);
	assert_refused(MSR_MTRR_CAP, 0x508);
}

static bool mtrr_type(unsigned type)
{
	return type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
}

static void fixed_mtrrs(void **state)
{
	static const u32 msrs[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f };

	/* Each keeps its own value. */
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_reads(msrs[i], msrs[i] == 0x259 ? 0 : 0x0606060606060606);
		assert_int_equal(msr_guest_write(&vcpu, msrs[i], 1ull << (i % 8 * 8) | (u64)(i / 8 * 4) << 56), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		assert_reads(msrs[i], 1ull << (i % 8 * 8) | (u64)(i / 8 * 4) << 56);
	for (unsigned field = 0; field < 8; field++) {
		for (unsigned type = 0; type < 256; type++) {
			if (mtrr_type(type))
				assert_kept(0x258, (u64)type << field * 8);
			else
				assert_refused(0x258, (u64)type << field * 8);
		}
	}
	assert_absent(0x251);
	assert_absent(0x257);
	assert_absent(0x25a);
	assert_absent(0x267);
	assert_absent(0x270);
}

static void variable_mtrrs(void **state)
{
	for (u32 i = 0; i < 16; i++) {
		/* The first range is reset to 3 GiB and up, uncached. */
		assert_reads(0x200 + i, i == 0 ? 0xc0000000 : i == 1 ? 0xffc0000800 : 0);
		assert_int_equal(msr_guest_write(&vcpu, 0x200 + i, (u64)i << 12), 0);
	}
	for (u32 i = 0; i < 16; i++)
		assert_reads(0x200 + i, (u64)i << 12);
	assert_absent(0x210);
	assert_absent(0x1ff);
	/* Base: bits 11:8 and those beyond the address width are reserved, types are as elsewhere. */
	assert_kept(0x202, 0xfffffff006);
	for (unsigned type = 0; type < 256; type++) {
		if (mtrr_type(type))
			assert_kept(0x202, type);
		else
			assert_refused(0x202, type);
	}
	for (unsigned bit = 8; bit < 12; bit++)
		assert_refused(0x202, 1ull << bit);
	assert_refused(0x202, 1ull << 40);
	assert_refused(0x202, 1ull << 63);
	assert_kept(0x202, 1ull << 39);
	/* Mask: bits 10:0. */
	assert_kept(0x203, 0xfffffff800);
	for (unsigned bit = 0; bit < 11; bit++)
		assert_refused(0x203, 1ull << bit);
	assert_refused(0x203, 1ull << 40);
	assert_kept(0x203, 1ull << 11);
}

/* Enabled, with the fixed ones, write-back where no range is. */
static void mtrr_default_type(void **state)
{
	assert_reads(MSR_MTRR_DEF_TYPE, 0xc06);
	assert_kept(MSR_MTRR_DEF_TYPE, 0);
	assert_kept(MSR_MTRR_DEF_TYPE, 0xc01);
	for (unsigned bit = 8; bit < 64; bit++) {
		if (bit != 10 && bit != 11)
			assert_refused(MSR_MTRR_DEF_TYPE, 1ull << bit);
	}
	for (unsigned type = 0; type < 256; type++) {
		if (mtrr_type(type))
			assert_kept(MSR_MTRR_DEF_TYPE, type);
		else
			assert_refused(MSR_MTRR_DEF_TYPE, type);
	}
}

static void machine_check_registers(void **state)
{
	static const u32 msrs[] = { 0x17a, 0x400, 0x401, 0x402, 0x403 };

	assert_reads(0x179, 0x77);
	assert_refused(0x179, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_reads(msrs[i], 0x77);
		assert_int_equal(mce.msr, msrs[i]);
		assert_int_equal(msr_guest_write(&vcpu, msrs[i], 5 + i), 0);
		assert_int_equal(mce.value, 5 + i);
	}
	assert_absent(0x404);
	assert_absent(MSR_MCG_CTL);
}

/* MSRs that ignore writes. The first write of a value other than the one read is logged. */
static void constants(void **state)
{
	cpu_features.vendor = CPU_VENDOR_AMD;
	assert_reads(0xc0010010, 0);
	assert_int_equal(msr_guest_write(&vcpu, 0xc0010010, 1), 0);
	assert_reads(0xc0010010, 0);
	assert_int_equal(vm.once.count, 0);
	log_set_level(LOG_DEBUG);
	assert_int_equal(msr_guest_write(&vcpu, 0xc0010010, 0), 0);
	assert_int_equal(vm.once.count, 0);
	assert_int_equal(msr_guest_write(&vcpu, 0xc0010010, 1), 0);
	assert_int_equal(vm.once.count, 1);
	assert_int_equal(msr_guest_write(&vcpu, 0xc0010010, 2), 0);
	assert_int_equal(vm.once.count, 1);
}

/* What is read, and what a write does. The one who writes is told nothing: the log is. */
enum write { FAULTS, IGNORED, WRITE_ONLY };
struct touched {
	u32 first, last;
	u64 reads;
	enum write write;
};

static void assert_touched(const struct touched *rows, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		for (u32 msr = rows[i].first; msr <= rows[i].last; msr++) {
			if (rows[i].write == WRITE_ONLY)
				assert_no_read(msr);
			else
				assert_reads(msr, rows[i].reads);
			if (rows[i].write == FAULTS) {
				assert_refused(msr, 0);
				continue;
			}
			assert_int_equal(msr_guest_write(&vcpu, msr, 0), 0);
			assert_int_equal(msr_guest_write(&vcpu, msr, ~0ull), 0);
			if (rows[i].write != WRITE_ONLY)
				assert_reads(msr, rows[i].reads);
		}
	}
}

/* The microcode's revision, and the last branch and exception: SDM vol. 4; APM vol. 2, "MSR Cross-Reference". */
static const struct touched touched_both[] = {
	{ 0x8b, 0x8b, MICROCODE, IGNORED }, { 0x1db, 0x1de, 0, FAULTS },
};

/*
 * SDM vol. 4. Linux reads 17h, and writes 79h to load microcode; BSDs read 2Ah; small kernels clear the
 * counters C1h and 186h; 198h and CEh are where kernels without another clock look for the TSC's frequency, whose
 * ratio to 100 MHz is in bits 15:8; Linux and macOS read the energy counters from 606h on.
 */
static const struct touched touched_intel[] = {
	{ 0x17, 0x17, 0, FAULTS }, { 0x2a, 0x2a, 0, IGNORED }, { 0x79, 0x79, 0, WRITE_ONLY },
	{ 0xc1, 0xc4, 0, IGNORED }, { 0xce, 0xce, 24 << 8, FAULTS },
	{ 0x186, 0x189, 0, IGNORED }, { 0x198, 0x198, 24 << 8, FAULTS }, { 0x199, 0x199, 0, IGNORED },
	{ 0x606, 0x606, 0, FAULTS },
	{ 0x611, 0x611, 0, FAULTS }, { 0x619, 0x619, 0, FAULTS }, { 0x639, 0x639, 0, FAULTS },
	{ 0x641, 0x641, 0, FAULTS },
};

/*
 * APM vol. 2, "MSR Cross-Reference". Small kernels clear the counters from C001_0000h on; Linux and Xen read SYSCFG,
 * HWCR and TOP_MEM2; OpenBSD and NetBSD read P-state 0 (C001_0064h) because HWCR says that the TSC counts at its
 * frequency, and take a clear bit 63 for an undefined one; NetBSD reads and writes IC_CFG; OpenBSD reads DE_CFG, and
 * writes it unless LFENCE serializes; FreeBSD masks machine checks in C001_0044h.
 */
static const struct touched touched_amd[] = {
	{ 0xc0010000, 0xc0010007, 0, IGNORED }, { 0xc0010010, 0xc0010010, 0, IGNORED },
	{ 0xc0010015, 0xc0010015, 1 << 24, IGNORED },	/* TscFreqSel */
	{ 0xc001001a, 0xc001001a, 0, IGNORED }, { 0xc001001d, 0xc001001d, 0, IGNORED },
	{ 0xc001001f, 0xc001001f, 0, IGNORED }, { 0xc0010020, 0xc0010020, 0, WRITE_ONLY },
	{ 0xc0010044, 0xc0010044, 0, IGNORED }, { 0xc0010055, 0xc0010055, 0, IGNORED },
	{ 0xc0010058, 0xc0010058, 0, IGNORED }, { 0xc0010061, 0xc001006b, 0, IGNORED },
	{ 0xc0010070, 0xc0010071, 0, IGNORED }, { 0xc0011020, 0xc0011023, 0, IGNORED },
	{ 0xc0011029, 0xc0011029, DE_CFG, IGNORED }, { 0xc001102a, 0xc001102a, 0, IGNORED },
	{ 0xc001102c, 0xc001102c, 0, IGNORED },
};

/*
 * SDM, "IA32_DEBUGCTL MSR": bits 1:0 and 15:6. APM vol. 2, "Debug-Control MSR (DebugCtl)": bits 5:0. Stepping on branches,
 * bit 1, changes what the guest sees: that it is missing is told at the usual level.
 */
static void debugctl(void **state)
{
	static const struct {
		u8 vendor;
		u64 defined;
	} kinds[] = { { CPU_VENDOR_INTEL, 0xffc3 }, { CPU_VENDOR_AMD, 0x3f } };

	log_set_level(LOG_INFO);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		cpu_features.vendor = kinds[i].vendor;
		for (unsigned bit = 0; bit < 64; bit++) {
			int expected = kinds[i].defined & BIT_ULL(bit) ? 0 : -EINVAL;

			vm.once.count = 0;
			assert_int_equal(msr_guest_write(&vcpu, MSR_DEBUGCTL, BIT_ULL(bit)), expected);
			assert_int_equal(vm.once.count, bit == 1);
			assert_reads(MSR_DEBUGCTL, 0);
		}
		assert_int_equal(msr_guest_write(&vcpu, MSR_DEBUGCTL, 2), 0);
		assert_int_equal(msr_guest_write(&vcpu, MSR_DEBUGCTL, 2), 0);
		assert_int_equal(vm.once.count, 1);
	}
}

static void of_intel(void **state)
{
	assert_touched(touched_both, ARRAY_SIZE(touched_both));
	assert_touched(touched_intel, ARRAY_SIZE(touched_intel));
	for (unsigned i = 0; i < ARRAY_SIZE(touched_amd); i++) {
		assert_absent(touched_amd[i].first);
		assert_absent(touched_amd[i].last);
	}
}

static void of_amd(void **state)
{
	static const u32 others[] = {
		0x1a0, 0xc0010008, 0xc001000f, 0xc0010016, 0xc001001b, 0xc0010060, 0xc001006c, 0xc0011024, 0xc001101f,
		0xc0011028, 0xc001102b,
	};

	assert_touched(touched_both, ARRAY_SIZE(touched_both));
	assert_touched(touched_amd, ARRAY_SIZE(touched_amd));
	for (unsigned i = 0; i < ARRAY_SIZE(touched_intel); i++)
		assert_absent(touched_intel[i].first);
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		assert_absent(others[i]);
}

/*
 * A bit of LS_CFG disables the speculative store bypass on families 15h to 17h, and on Hygon's 18h. Linux reports it
 * as disabled wherever it can read the register.
 */
static void no_ls_cfg_where_it_would_be_a_mitigation(void **state)
{
	for (u32 family = 0xf; family <= 0x1a; family++) {
		cpu_features.family = family;
		if (family >= 0x15 && family <= 0x18)
			assert_absent(0xc0011020);
		else
			assert_reads(0xc0011020, 0);
	}
}

/* DE_CFG is the host's, never more: families 10h and 12h and later have it. */
static void de_cfg_says_what_the_host_does(void **state)
{
	for (u32 family = 0xf; family <= 0x1a; family++) {
		cpu_features.family = family;
		if (family == 0xf || family == 0x11)
			assert_absent(0xc0011029);
		else
			assert_reads(0xc0011029, DE_CFG);
	}
	msr_destroy(&vcpu);
	no_de_cfg = true;
	assert_int_equal(msr_create(&vcpu), 0);
	msr_reset(&vcpu, false);
	assert_reads(0xc0011029, 0);
}

static void the_ratio_of_the_frequency_has_eight_bits(void **state)
{
	static const struct { u64 hz, ratio; } cases[] = {
		{ 10000000, 0 }, { 49999999, 0 }, { 50000000, 1 }, { 2449999999, 24 }, { 2450000000, 25 },
		{ 25500000000, 255 }, { 26000000000, 255 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		msr_destroy(&vcpu);
		tsc_hz = cases[i].hz;
		assert_int_equal(msr_create(&vcpu), 0);
		assert_reads(0xce, cases[i].ratio << 8);
	}
}

/*
 * SDM vol. 4, IA32_MISC_ENABLE: fast strings (0), CPUID's limit (22), no xTPR messages (23) and no execute-disable
 * (34) are kept; the bits that say that there are no BTS (11) and no PEBS (12) are read-only.
 */
static void misc_enable_keeps_what_a_guest_may_write(void **state)
{
	const u64 fixed = 1 << 11 | 1 << 12;

	assert_reads(0x1a0, 1 | fixed);
	assert_int_equal(misc_enable, 1 | fixed);
	for (unsigned bit = 0; bit < 64; bit++) {
		bool kept = bit == 0 || bit == 22 || bit == 23 || bit == 34;

		assert_int_equal(msr_guest_write(&vcpu, 0x1a0, 1ull << bit), 0);
		assert_reads(0x1a0, (kept ? 1ull << bit : 0) | fixed);
		assert_int_equal(misc_enable, (kept ? 1ull << bit : 0) | fixed);
	}
	assert_kept(0x1a0, 1 | fixed | 1 << 22);
	msr_reset(&vcpu, true);
	assert_reads(0x1a0, 1 | fixed | 1 << 22);
	msr_reset(&vcpu, false);
	assert_reads(0x1a0, 1 | fixed);
	assert_int_equal(misc_enable, 1 | fixed);
}

/* SDM, "Local APIC Status and Location": CPUID's feature flag follows the enable bit (11). */
static void cpuid_follows_the_apic_base(void **state)
{
	assert_true(apic_enabled);
	apic_refuses = false;
	assert_int_equal(msr_guest_write(&vcpu, 0x1b, 0xfee00100), 0);
	assert_false(apic_enabled);
	apic_refuses = true;
	assert_refused(0x1b, 0xfee00900);
	assert_false(apic_enabled);
	apic_refuses = false;
	assert_int_equal(msr_guest_write(&vcpu, 0x1b, 0xfee00900), 0);
	assert_true(apic_enabled);
	assert_int_equal(msr_guest_write(&vcpu, 0x1b, 0xfee00100), 0);
	msr_reset(&vcpu, true);
	assert_false(apic_enabled);
	msr_reset(&vcpu, false);
	assert_true(apic_enabled);
}

/* What must not exist: VMX, SVM, speculation control, and numbers between the ranges. */
static void the_rest_raises_gp_and_is_logged_once(void **state)
{
	static const u32 msrs[] = { 0, 0x3a, 0x48, 0x49, 0x10a, 0x173, 0x177, 0x480, 0xda0, 0x7ff - 0x7f, 0x900,
				    0x4b564cff, 0x4b564d02, 0xc0000085, 0xc0000104, 0xc0010114, 0xc0010117, ~0u };

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_absent(msrs[i]);
		assert_int_equal(vm.once.count, 2 * i + 2);
		assert_absent(msrs[i]);
		assert_int_equal(vm.once.count, 2 * i + 2);
	}
}

static void the_local_apic_has_its_own(void **state)
{
	static const u32 msrs[] = { 0x1b, 0x6e0, 0x800, 0x83f, 0x8ff };

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		irqchip.msr = 0;
		assert_reads(msrs[i], 0x1234);
		assert_int_equal(irqchip.msr, i ? msrs[i] : 0);		/* IA32_APIC_BASE is in memory */
		irqchip.msr = 0;
		assert_refused(msrs[i], 99);
		assert_int_equal(irqchip.msr, msrs[i]);
		assert_int_equal(irqchip.value, 99);
	}
	irqchip.msr = 0;
	assert_absent(0x7ff);
	assert_absent(0x900);
	assert_absent(0x6e1);
	assert_int_equal(irqchip.msr, 0);
}

/* SDM, "Microcode Update Facilities": the revision is read after a write of zero and CPUID. */
static void microcode_of_intel(void **state)
{
	assert_int_equal(microcode_zeroed, 1);
	assert_reads(MSR_BIOS_SIGN_ID, MICROCODE);
	assert_int_equal(msr_guest_write(&vcpu, MSR_BIOS_SIGN_ID, 0), 0);
	assert_reads(MSR_BIOS_SIGN_ID, MICROCODE);
	msr_destroy(&vcpu);
	no_microcode = true;
	assert_int_equal(msr_create(&vcpu), 0);
	assert_reads(MSR_BIOS_SIGN_ID, 0);
}

static void microcode_of_amd(void **state)
{
	assert_int_equal(microcode_zeroed, 0);
	assert_reads(MSR_BIOS_SIGN_ID, MICROCODE);
	msr_destroy(&vcpu);
	no_microcode = true;
	assert_int_equal(msr_create(&vcpu), 0);
	assert_reads(MSR_BIOS_SIGN_ID, 0);
}

static void no_page_for_the_values(void **state)
{
	msr_destroy(&vcpu);
	no_memory = true;
	assert_int_equal(msr_create(&vcpu), -ENOMEM);
	assert_null(vcpu.msrs);
}

/* From the second read on, a value kept in memory is found without the policy, and is up to date. */
static void shortcuts(void **state)
{
	assert_null(msr_shortcut(vcpu.msrs, MSR_MTRR_DEF_TYPE));
	assert_reads(MSR_MTRR_DEF_TYPE, 0xc06);
	assert_int_equal(*msr_shortcut(vcpu.msrs, MSR_MTRR_DEF_TYPE), 0xc06);
	assert_int_equal(msr_guest_write(&vcpu, MSR_MTRR_DEF_TYPE, 6), 0);
	assert_int_equal(*msr_shortcut(vcpu.msrs, MSR_MTRR_DEF_TYPE), 6);
	/* Of two with the same low bits, the one that was read last has the slot. */
	assert_null(msr_shortcut(vcpu.msrs, 0x26f));
	assert_reads(0x26f, 0x0606060606060606);
	assert_null(msr_shortcut(vcpu.msrs, MSR_MTRR_DEF_TYPE));
	assert_int_equal(*msr_shortcut(vcpu.msrs, 0x26f), 0x0606060606060606);
	/* A computed value has no slot. */
	assert_reads(MSR_TSC, now);
	assert_null(msr_shortcut(vcpu.msrs, MSR_TSC));
	msr_reset(&vcpu, false);
	assert_null(msr_shortcut(vcpu.msrs, 0x26f));
}

static void reset_restores_all(void **state)
{
	assert_int_equal(msr_guest_write(&vcpu, 0x204, 0x5000), 0);
	assert_int_equal(msr_guest_write(&vcpu, 0x250, 0), 0);
	assert_int_equal(msr_guest_write(&vcpu, MSR_PVCLOCK_SYSTEM, 0x5001), 0);
	msr_reset(&vcpu, false);
	assert_reads(0x204, 0);
	assert_reads(0x250, 0x0606060606060606);
	assert_reads(MSR_PVCLOCK_SYSTEM, 0);
	assert_reads(MSR_BIOS_SIGN_ID, MICROCODE);
}

/* SDM, "Processor States Following Power-up, Reset, or INIT": MTRRs are unchanged. */
static void init_keeps_all_but_addresses(void **state)
{
	assert_int_equal(msr_guest_write(&vcpu, 0x204, 0x5000), 0);
	assert_int_equal(msr_guest_write(&vcpu, 0x250, 0), 0);
	assert_int_equal(msr_guest_write(&vcpu, MSR_PVCLOCK_SYSTEM, 0x5001), 0);
	assert_int_equal(msr_guest_write(&vcpu, MSR_STEAL_TIME, 0x6001), 0);
	assert_reads(MSR_STEAL_TIME, 0x6001);
	assert_int_equal(msr_guest_write(&vcpu, MSR_STEAL_TIME, 0x7003), -EINVAL);
	assert_reads(MSR_STEAL_TIME, 0x6001);
	msr_reset(&vcpu, true);
	assert_reads(0x204, 0x5000);
	assert_reads(0x250, 0);
	assert_reads(MSR_PVCLOCK_SYSTEM, 0);
	assert_reads(MSR_STEAL_TIME, 0);
	assert_reads(MSR_BIOS_SIGN_ID, MICROCODE);
}

#define INTEL(name) cmocka_unit_test_setup_teardown(name, intel, tear_down)
#define AMD(name)   cmocka_unit_test_setup_teardown(name, amd, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		INTEL(addresses_are_canonical),
		INTEL(the_vendor_holds_them),
		INTEL(tsc_aux_needs_rdtscp),
		AMD(without_an_exit),
		INTEL(speculation_control),
		INTEL(pat),
		INTEL(efer_goes_to_the_controls),
		INTEL(a_write_of_the_tsc_moves_the_adjustment),
		INTEL(a_write_of_the_adjustment_moves_the_tsc),
		INTEL(pvclock),
		INTEL(no_paravirtual_msrs_without_a_hypervisor),
		INTEL(mtrr_capabilities),
		INTEL(fixed_mtrrs),
		INTEL(variable_mtrrs),
		INTEL(mtrr_default_type),
		INTEL(machine_check_registers),
		INTEL(constants),
		INTEL(debugctl),
		INTEL(of_intel),
		AMD(of_amd),
		AMD(no_ls_cfg_where_it_would_be_a_mitigation),
		AMD(de_cfg_says_what_the_host_does),
		INTEL(the_ratio_of_the_frequency_has_eight_bits),
		INTEL(misc_enable_keeps_what_a_guest_may_write),
		INTEL(cpuid_follows_the_apic_base),
		INTEL(the_rest_raises_gp_and_is_logged_once),
		INTEL(the_local_apic_has_its_own),
		INTEL(microcode_of_intel),
		AMD(microcode_of_amd),
		INTEL(no_page_for_the_values),
		INTEL(shortcuts),
		INTEL(reset_restores_all),
		INTEL(init_keeps_all_but_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
