/* SPDX-License-Identifier: MIT */
/*
 * VMX on and off on one CPU: IA32_FEATURE_CONTROL, the fixed bits of CR0 and CR4, the VMXON region.
 * Intel SDM, "Enabling and Entering VMX Operation", "VMX-Fixed Bits in CR0", "VMX-Fixed Bits in CR4".
 */
/* link: tests/unit/fake_cpu.c core/cpu/tlb_id.c core/vm_log.c lib/log.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Where the exception table's rows go: a section whose bounds the linker names, and writable for PIE. */
#include "arch/fault/extable.h"
#undef EXTABLE
#define EXTABLE(from, to)			\
	"\n\t.pushsection extable, \"aw\""	\
	"\n\t.balign 8"				\
	"\n\t.quad " from ", " to		\
	"\n\t.popsection\n"

#include "vmx/enable.c"
#include "tests/unit/counted_pages.h"
#include "tests/unit/fake_cpu.h"

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

extern const struct extable_entry __start_extable[], __stop_extable[];

#define REVISION	0x7a5b1234u
#define OPEN		0ull
#define LOCKED_ON	(BIT_ULL(0) | BIT_ULL(2))
#define LOCKED_OFF	BIT_ULL(0)

struct vmx_caps vmx_caps;
static struct percpu cpu;
static unsigned fpu_resets;

/* The floating-point unit is set up first: in VMX operation CR0 and CR4 have fixed bits. */
void fpu_reset(void)
{
	assert_int_equal(fake_cpu.step_count, 0);
	fpu_resets++;
}

static bool local_machine_checks;
static unsigned local_enabled;

bool machine_check_is_local(void) { return local_machine_checks; }

/* It needs the register locked. */
void machine_check_enable_local(void)
{
	assert_true(fake_msr(0x3a)->value & BIT_ULL(0));
	local_enabled++;
}

static u64 fixup(u64 rip)
{
	for (const struct extable_entry *entry = __start_extable; entry < __stop_extable; entry++)
		if (entry->from == rip)
			return entry->to;
	return 0;
}

static void power_on(u64 feature_control)
{
	fake_cpu_reset();
	fake_cpu.fixup = fixup;
	fake_cpu.cr[0] = BIT_ULL(31) | BIT_ULL(30) | BIT_ULL(0);	/* PG, CD, PE */
	fake_cpu.cr[4] = BIT_ULL(5) | BIT_ULL(22);			/* PAE, and a bit not allowed */
	fake_msr(0x3a)->value = feature_control;
	vmx_caps = (struct vmx_caps){
		.revision = REVISION,
		.cr0_fixed0 = 0x80000021, .cr0_fixed1 = 0xffffffff & ~BIT_ULL(30),
		.cr4_fixed0 = 0x2000, .cr4_fixed1 = 0x3727ff,
	};
	cpu = (struct percpu){ .index = 3 };
	page_limit = ~0u;
	pages = fpu_resets = 0;
}

/* PG, NE, PE; PAE, VMXE: what must be 1 is set, what must be 0 is cleared, the rest stays. */
static void fixed_bits_are_set_before_vmxon(void **state)
{
	const struct privileged_step *last;

	power_on(LOCKED_ON);
	assert_int_equal(vmx_cpu_enable(&cpu), 0);
	assert_int_equal(fake_cpu.cr[0], 0x80000021);
	assert_int_equal(fake_cpu.cr[4], 0x2020);
	last = &fake_cpu.steps[fake_cpu.step_count - 1];
	assert_int_equal(last->kind, DO_VMXON);
	assert_int_equal(fake_cpu_count(DO_VMXON), 1);
	vmx_cpu_disable(&cpu);
}

/* Bits 30:0 of the region are the revision identifier, bit 31 is 0; the rest is the processor's. */
static void the_vmxon_region_names_the_revision(void **state)
{
	u8 *region;

	power_on(LOCKED_ON);
	assert_int_equal(vmx_cpu_enable(&cpu), 0);
	region = cpu.vendor_page;
	assert_int_equal(cpu.vendor_page_pa, virt_to_phys(region));
	assert_int_equal(fake_cpu_step(DO_VMXON, 0)->value, virt_to_phys(region));
	assert_int_equal(*(u32 *)region, REVISION);
	for (unsigned i = 4; i < PAGE_SIZE; i++)
		assert_int_equal(region[i], 0);
	vmx_cpu_disable(&cpu);
	assert_int_equal(pages, 0);
}

/* The firmware's decision stands where it is locked: a write would raise #GP. */
static void an_open_feature_control_is_locked_with_vmx_on(void **state)
{
	static const struct {
		u64 before, after;
		unsigned writes;
	} cases[] = {
		{ OPEN, 5, 1 },
		{ BIT_ULL(2), 5, 1 },
		{ BIT_ULL(1) | BIT_ULL(18), BIT_ULL(18) | 7, 1 },	/* SMX and SGX bits stay */
		{ LOCKED_ON, 5, 0 },
		{ LOCKED_ON | BIT_ULL(20), BIT_ULL(20) | 5, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		power_on(cases[i].before);
		assert_int_equal(vmx_cpu_enable(&cpu), 0);
		assert_int_equal(fake_msr(0x3a)->value, cases[i].after);
		assert_int_equal(fake_cpu_count(DO_WRMSR), cases[i].writes);
		vmx_cpu_disable(&cpu);
	}
}

/* SDM, "IA32_FEATURE_CONTROL": bit 20 allows local machine checks, and is not written where there are none. */
static void local_machine_checks_are_allowed_before_it_is_locked(void **state)
{
	static const u64 before[] = { OPEN, BIT_ULL(18), BIT_ULL(20), LOCKED_ON };
	static const u64 after[] = { BIT_ULL(20) | 5, BIT_ULL(20) | BIT_ULL(18) | 5, BIT_ULL(20) | 5, LOCKED_ON };

	local_machine_checks = true;
	for (unsigned i = 0; i < ARRAY_SIZE(before); i++) {
		power_on(before[i]);
		local_enabled = 0;
		assert_int_equal(vmx_cpu_enable(&cpu), 0);
		assert_int_equal(fake_msr(0x3a)->value, after[i]);
		assert_int_equal(local_enabled, 1);
		vmx_cpu_disable(&cpu);
	}
	local_machine_checks = false;
}

static void a_refused_vmxon_leaves_nothing_behind(void **state)
{
	static const enum vmx_answer refusals[] = { VM_FAIL_INVALID, VM_FAIL_VALID, VM_GP };

	for (unsigned i = 0; i < ARRAY_SIZE(refusals); i++) {
		power_on(LOCKED_OFF);
		fake_cpu.answers[DO_VMXON] = refusals[i];
		assert_int_equal(vmx_cpu_enable(&cpu), -ENODEV);
		assert_int_equal(fake_cpu_count(DO_WRMSR), 0);
		assert_int_equal(fake_cpu.cr[4], 0x20);	/* VMXE is off again */
		assert_null(cpu.vendor_page);
		assert_int_equal(pages, 0);
	}
}

/* VMfail and #GP mean different things to the reader of the log: the processor, or its firmware. */
static void vmxon_tells_vmfail_from_gp(void **state)
{
	static const struct {
		enum vmx_answer answer;
		int error;
	} cases[] = {
		{ VM_SUCCEED, 0 }, { VM_FAIL_INVALID, -EIO }, { VM_FAIL_VALID, -EIO }, { VM_GP, -EFAULT },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		power_on(LOCKED_ON);
		fake_cpu.answers[DO_VMXON] = cases[i].answer;
		assert_int_equal(vmxon(0x123000), cases[i].error);
		assert_int_equal(fake_cpu_step(DO_VMXON, 0)->value, 0x123000);
	}
}

static void without_memory_nothing_is_touched(void **state)
{
	power_on(OPEN);
	page_limit = 0;
	assert_int_equal(vmx_cpu_enable(&cpu), -ENOMEM);
	assert_int_equal(fake_cpu.step_count, 0);
	assert_null(cpu.vendor_page);
}

/* What the TLB and the last VMCS were before says nothing afterwards. */
static void a_cpu_begins_anew(void **state)
{
	power_on(LOCKED_ON);
	cpu.vendor_current = &cpu;
	cpu.tlb_id_generation = 4;
	cpu.tlb_id_next = 7;
	assert_int_equal(vmx_cpu_enable(&cpu), 0);
	assert_null(cpu.vendor_current);
	assert_int_equal(cpu.tlb_id_generation, 5);
	assert_int_equal(cpu.tlb_id_next, 0);
	assert_int_equal(fpu_resets, 1);
	vmx_cpu_disable(&cpu);
}

/* VMXOFF first: in VMX operation clearing CR4.VMXE raises #GP. */
static void disabling_leaves_vmx_operation_before_cr4(void **state)
{
	unsigned enabled;

	power_on(LOCKED_ON);
	assert_int_equal(vmx_cpu_enable(&cpu), 0);
	enabled = fake_cpu.step_count;
	vmx_cpu_disable(&cpu);
	assert_int_equal(fake_cpu.steps[enabled].kind, DO_VMXOFF);
	assert_int_equal(fake_cpu_count(DO_VMXOFF), 1);
	assert_int_equal(fake_cpu.cr[4], 0x20);
	assert_null(cpu.vendor_page);
	assert_int_equal(pages, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_bits_are_set_before_vmxon),
		cmocka_unit_test(the_vmxon_region_names_the_revision),
		cmocka_unit_test(an_open_feature_control_is_locked_with_vmx_on),
		cmocka_unit_test(local_machine_checks_are_allowed_before_it_is_locked),
		cmocka_unit_test(a_refused_vmxon_leaves_nothing_behind),
		cmocka_unit_test(vmxon_tells_vmfail_from_gp),
		cmocka_unit_test(without_memory_nothing_is_touched),
		cmocka_unit_test(a_cpu_begins_anew),
		cmocka_unit_test(disabling_leaves_vmx_operation_before_cr4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
