/* SPDX-License-Identifier: MIT */
/*
 * V_TPR and the TPR of the local APIC's model: which one follows which, and when a MOV to CR8 exits. AMD APM vol. 2,
 * "Virtual TPR": V_TPR is in int_control's low bits; the intercepts of CR8 are bit 8 for reads and bit 24 for writes.
 */
/* link: svm/apic.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/cpu/capability.h"
#include "core/irqchip.h"
#include "svm/svm.h"

bool capability_hides_apic;

static struct vmcb vmcb;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;
static struct vm vm;
static struct vm_config config;
static u32 page[1024];
static unsigned held;

static unsigned held_by_tpr(void *vlapic)
{
	assert_ptr_equal(vlapic, page);
	return held;
}

static const struct irqchip_ops irqchip = { .held_by_tpr = held_by_tpr };

static int set_up(void **state)
{
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&svm, 0, sizeof(svm));
	memset(page, 0, sizeof(page));
	svm.vmcb = &vmcb;
	vcpu->vm = &vm;
	vcpu->vlapic = page;
	vm = (struct vm){ .config = &config, .irqchip = &irqchip, .apic_hardware = APIC_TPR };
	vmcb.control.int_control = V_INTR_MASKING;
	vmcb.control.intercept_cr = BIT(4 + 16) | BIT(8) | BIT(8 + 16);
	vmcb.control.clean = CLEAN_ALL;
	held = 0;
	svm_apic_reset(&svm);
	return 0;
}

static bool writes_exit(void)
{
	assert_int_equal(vmcb.control.intercept_cr & ~BIT(8 + 16), BIT(4 + 16));
	return vmcb.control.intercept_cr & BIT(8 + 16);
}

static void who_has_it(void **state)
{
	static const struct {
		bool hidden;
		enum nested nested;
		enum apic_hardware hardware;
	} rows[] = {
		{ false, NESTED_OFF, APIC_TPR }, { true, NESTED_OFF, APIC_BY_SOFTWARE }, { false, NESTED_ON, APIC_BY_SOFTWARE },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		capability_hides_apic = rows[i].hidden;
		config.nested = rows[i].nested;
		assert_int_equal(svm_apic_hardware(&vm), rows[i].hardware);
	}
}

static void by_software_cr8_exits(void **state)
{
	vm.apic_hardware = APIC_BY_SOFTWARE;
	vmcb.control.intercept_cr = BIT(8) | BIT(8 + 16);
	svm_apic_reset(&svm);
	assert_int_equal(vmcb.control.intercept_cr, BIT(8) | BIT(8 + 16));
	/* The V_TPR of a guest's guest is not the local APIC's. */
	vmcb.control.int_control |= 5;
	page[0x80 / 4] = 0x31;
	svm_take_v_tpr(&svm);
	assert_int_equal(page[0x80 / 4], 0x31);
}

/* What the guest writes to CR8 is in V_TPR after the exit; a V_TPR that has not changed leaves TPR's lower half alone. */
static void tpr_follows_v_tpr(void **state)
{
	assert_false(writes_exit());
	vmcb.control.int_control |= 5;
	svm_take_v_tpr(&svm);
	assert_int_equal(page[0x80 / 4], 0x50);
	svm_tpr_written(vcpu, page[0x80 / 4] = 0x57);
	svm_take_v_tpr(&svm);
	assert_int_equal(page[0x80 / 4], 0x57);
	vmcb.control.int_control &= ~V_TPR;
	svm_take_v_tpr(&svm);
	assert_int_equal(page[0x80 / 4], 0);
}

static void v_tpr_follows_tpr(void **state)
{
	vmcb.control.int_control |= V_IRQ | 0xf;
	svm_tpr_written(vcpu, page[0x80 / 4] = 0x60);
	assert_int_equal(vmcb.control.int_control, V_INTR_MASKING | V_IRQ | 6);
	assert_int_equal(vmcb.control.clean & CLEAN_INTERRUPT, 0);
	assert_false(writes_exit());
}

/* A MOV to CR8 clears the lower half: without an exit V_TPR might be as before, and nothing would show it. */
static void writes_exit_while_tpr_has_a_lower_half(void **state)
{
	svm_tpr_written(vcpu, page[0x80 / 4] = 0x61);
	assert_true(writes_exit());
	assert_int_equal(vmcb.control.clean & CLEAN_INTERCEPTS, 0);
	svm_tpr_written(vcpu, page[0x80 / 4] = 0x60);
	assert_false(writes_exit());
}

static void writes_exit_while_tpr_holds_back_an_interrupt(void **state)
{
	svm_tpr_written(vcpu, page[0x80 / 4] = 0x60);
	vmcb.control.clean = CLEAN_ALL;
	held = 5;
	svm_apic_entry(vcpu);
	assert_true(writes_exit());
	assert_int_equal(vmcb.control.clean, CLEAN_ALL & ~CLEAN_INTERCEPTS);
	svm_tpr_written(vcpu, page[0x80 / 4] = 0x50);	/* the model asks for the events to be chosen */
	assert_true(writes_exit());
	held = 0;
	svm_apic_entry(vcpu);
	assert_false(writes_exit());
	vmcb.control.clean = CLEAN_ALL;
	svm_apic_entry(vcpu);
	assert_int_equal(vmcb.control.clean, CLEAN_ALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(who_has_it, set_up),
		cmocka_unit_test_setup(by_software_cr8_exits, set_up),
		cmocka_unit_test_setup(tpr_follows_v_tpr, set_up),
		cmocka_unit_test_setup(v_tpr_follows_tpr, set_up),
		cmocka_unit_test_setup(writes_exit_while_tpr_has_a_lower_half, set_up),
		cmocka_unit_test_setup(writes_exit_while_tpr_holds_back_an_interrupt, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
