/* SPDX-License-Identifier: MIT */
/* The interface between interrupt controllers and vCPUs. */
/* link: tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* cflags: -DVM_MAX_VCPUS=4 */
#include "fake_vm.h"

static int set_up(void **state)
{
	*state = fake_create(0);
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

static void lines_go_to_the_controllers(void **state)
{
	struct vm *vm = *state;

	irq_line_set(vm, 5, true);
	assert_true(fake_of(vm)->lines[5].level);
	assert_int_equal(fake_of(vm)->lines[5].rises, 1);
	irq_line_set(vm, 5, false);
	assert_false(fake_of(vm)->lines[5].level);
	assert_false(irq_line_waiting(vm, 5));
	fake_of(vm)->lines[5].waiting = true;
	assert_true(irq_line_waiting(vm, 5));
	assert_false(irq_line_waiting(vm, 4));
}

/* Devices set their lines while they are created, before the controllers are. */
static void without_controllers_a_line_goes_nowhere(void **state)
{
	struct vm *vm = *state;

	vm_set_irqchip(vm, NULL, NULL);
	irq_line_set(vm, 5, true);
	assert_false(fake_of(vm)->lines[5].level);
}

static void controllers_keep_their_data_with_the_vm(void **state)
{
	static const struct irqchip_ops ops;
	struct vm *vm = *state;
	int data;

	vm_set_irqchip(vm, &ops, &data);
	assert_ptr_equal(vm->irqchip, &ops);
	assert_ptr_equal(vm_irqchip_data(vm), &data);
	vcpu_set_vlapic(vm_bsp(vm), &data);
	assert_ptr_equal(vcpu_vlapic(vm_bsp(vm)), &data);
}

static void vcpus_by_their_index(void **state)
{
	struct vm *vm = *state;

	vm->vcpu_count = 3;
	assert_int_equal(vm_vcpu_count(vm), 3);
	assert_ptr_equal(vm_bsp(vm), &fake_of(vm)->vcpus[0].vcpu);
	assert_ptr_equal(vm_vcpu(vm, 0), vm_bsp(vm));
	assert_ptr_equal(vm_vcpu(vm, 2), &fake_of(vm)->vcpus[2].vcpu);
	assert_ptr_equal(vcpu_vm(vm_vcpu(vm, 2)), vm);
	assert_int_equal(vcpu_apic_id(vm_vcpu(vm, 2)), 2);
	assert_int_equal(vcpu_physical_bits(vm_bsp(vm)), 40);
}

static void a_change_asks_for_injection(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	vcpu_interrupt_changed(vcpu);
	assert_int_equal(vcpu->requests, REQ_EVENT);
}

/* On behalf of others: the vCPU may be asleep, or run on another CPU. */
static void an_interrupt_from_others_kicks(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	vcpu_interrupt_sent(vcpu);
	assert_int_equal(vcpu->requests, REQ_EVENT);
	assert_int_equal(fake_vcpu_of(vcpu)->kicks, 1);
}

static void a_vcpu_is_at_home_on_one_cpu(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	assert_true(vcpu_home_is_here(vcpu));
	fake_move_away(vcpu);
	assert_false(vcpu_home_is_here(vcpu));
}

static void the_vm_lock_is_the_vms(void **state)
{
	struct vm *vm = *state;

	vm_lock(vm);
	assert_int_not_equal(vm->lock.next, vm->lock.served);
	vm_unlock(vm);
	assert_int_equal(vm->lock.next, vm->lock.served);
	assert_ptr_equal(vcpu_posted(vm_bsp(vm)), &vm_bsp(vm)->posted);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_go_to_the_controllers),
		TEST(without_controllers_a_line_goes_nowhere),
		TEST(controllers_keep_their_data_with_the_vm),
		TEST(vcpus_by_their_index),
		TEST(a_change_asks_for_injection),
		TEST(an_interrupt_from_others_kicks),
		TEST(a_vcpu_is_at_home_on_one_cpu),
		TEST(the_vm_lock_is_the_vms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
