/* SPDX-License-Identifier: MIT */
/*
 * Stolen time and hypercalls, as Linux describes them: Documentation/virt/kvm/x86/msr.rst, hypercalls.rst and
 * struct kvm_steal_time.
 */
/* link: core/cpu/paravirt.c tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include <string.h>

#include "core/cpu/paravirt.h"
#include "core/startup.h"

#define AREA 0x5000

static bool code_64;
static unsigned cpl, unhalted[VM_MAX_VCPUS];
static struct { unsigned count[VM_MAX_VCPUS], total; u32 icr; } sent;

bool vcpu_code_64(struct vcpu *vcpu) { return code_64; }
unsigned vcpu_cpl(struct vcpu *vcpu) { return cpl; }
void vcpu_unhalt(struct vcpu *vcpu) { unhalted[vcpu->id]++; }

static bool send_ipi(struct vcpu *sender, u32 apic_id, u32 icr)
{
	assert_in_range(apic_id, 0, vcpu_vm(sender)->vcpu_count - 1);
	sent.count[apic_id]++;
	sent.total++;
	sent.icr = icr;
	return true;
}

static const struct irqchip_ops irqchip = { .send_ipi = send_ipi };

static int set_up(void **state)
{
	struct vm *vm = fake_create(MIB(2));

	memset(&sent, 0, sizeof(sent));
	memset(unhalted, 0, sizeof(unhalted));
	code_64 = true;
	cpl = 0;
	vm->vcpu_count = VM_MAX_VCPUS;
	vm_set_irqchip(vm, &irqchip, NULL);
	*state = vm;
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

static u64 field(struct vm *vm, unsigned offset, unsigned size)
{
	u64 value = 0;

	memcpy(&value, fake_of(vm)->ram + AREA + offset, size);
	return value;
}

/* --- stolen time --- */

static void the_address_is_checked(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	for (unsigned bit = 1; bit < 6; bit++)
		assert_int_equal(steal_time_write(vcpu, AREA | BIT(bit) | 1), -EINVAL);
	assert_int_equal(steal_time_write(vcpu, MIB(2) | 1), -EINVAL);
	assert_int_equal(steal_time_write(vcpu, (MIB(2) - 64) | 1), 0);
	assert_int_equal(steal_time_write(vcpu, ~0ull & ~0x3eull), -EINVAL);
	assert_int_equal(steal_time_write(vcpu, GUEST_VGA_HOLE | 1), -EINVAL);
	assert_int_equal(vcpu->steal_time.msr, (MIB(2) - 64) | 1);
	assert_int_equal(steal_time_write(vcpu, GUEST_VGA_HOLE), 0);	/* disabled */
}

static void what_was_stolen_is_published_in_ns(void **state)
{
	struct vm *vm = *state;
	struct vcpu *vcpu = vm_bsp(vm);

	fake_hz = 2000000000;
	memset(fake_of(vm)->ram + AREA, 0xa5, 64);
	assert_int_equal(steal_time_write(vcpu, AREA | 1), 0);
	assert_int_equal(field(vm, 0, 8), 0);
	assert_int_equal(field(vm, 8, 4) & 1, 0);	/* the version is even */
	assert_int_equal(field(vm, 16, 1), 0);
	u64 version = field(vm, 8, 4);

	steal_time_begins(vcpu);
	assert_int_equal(field(vm, 16, 1), 1);		/* KVM_VCPU_PREEMPTED */
	steal_time_ends(vcpu, 5000);
	assert_int_equal(field(vm, 16, 1), 0);
	assert_int_equal(field(vm, 0, 8), 2500);
	assert_int_equal(field(vm, 8, 4), version + 2);
	steal_time_begins(vcpu);
	steal_time_ends(vcpu, 1000);
	assert_int_equal(field(vm, 0, 8), 3000);
	assert_int_equal(vcpu->requests & REQ_FLUSH_TLB, 0);
	/* What is behind the structure's used part is not touched. */
	assert_int_equal(field(vm, 17, 1), 0xa5);
}

static void a_flush_that_others_ask_for_is_made(void **state)
{
	struct vm *vm = *state;
	struct vcpu *vcpu = vm_bsp(vm);

	assert_int_equal(steal_time_write(vcpu, AREA | 1), 0);
	steal_time_begins(vcpu);
	fake_of(vm)->ram[AREA + 16] |= 2;		/* KVM_VCPU_FLUSH_TLB */
	steal_time_ends(vcpu, 0);
	assert_true(vcpu->requests & REQ_FLUSH_TLB);
	assert_int_equal(field(vm, 16, 1), 0);
}

static void without_an_area_nothing_is_written(void **state)
{
	struct vm *vm = *state;
	struct vcpu *vcpu = vm_bsp(vm);

	assert_int_equal(steal_time_write(vcpu, AREA | 1), 0);
	assert_int_equal(steal_time_write(vcpu, AREA), 0);
	memset(fake_of(vm)->ram + AREA, 0xa5, 64);
	steal_time_begins(vcpu);
	steal_time_ends(vcpu, 5000);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(field(vm, i, 1), 0xa5);
	/* It counts nevertheless. */
	assert_int_equal(vcpu->steal_time.stolen, 5000);
}

/* A page that is no RAM any more, because memory was damaged. */
static void a_stale_address_is_not_used(void **state)
{
	struct vm *vm = *state;
	struct vcpu *vcpu = vm_bsp(vm);

	assert_int_equal(steal_time_write(vcpu, AREA | 1), 0);
	fake_of(vm)->ram_size = AREA;
	steal_time_begins(vcpu);
	steal_time_ends(vcpu, 1);
	assert_int_equal(field(vm, 16, 1), 0);
	fake_of(vm)->ram_size = MIB(2);
}

/* --- hypercalls --- */

static u64 call(struct vm *vm, u64 number, u64 a0, u64 a1, u64 a2, u64 a3)
{
	struct vcpu *vcpu = vm_bsp(vm);

	vcpu->regs[REG_RAX] = number;
	vcpu->regs[REG_RBX] = a0;
	vcpu->regs[REG_RCX] = a1;
	vcpu->regs[REG_RDX] = a2;
	vcpu->regs[REG_RSI] = a3;
	return paravirt_hypercall(vcpu);
}

static void others_are_unknown(void **state)
{
	struct vm *vm = *state;

	for (u64 number = 0; number < 20; number++) {
		bool known = number == 5 || number == 10 || number == 11;

		assert_int_equal(call(vm, number, 0, 0, 0, 0), known ? 0 : -1000ull);
		/* The fast path must leave them alone. */
		if (known)
			assert_true(hypercall_may_be_known(number));
	}
	assert_int_equal(call(vm, 0x10000000aull, 0, 0, 0, 0), -1000ull);
	assert_false(hypercall_may_be_known(4));
	assert_false(hypercall_may_be_known(12));
	vm->vcpu_count = 1;
	assert_int_equal(call(vm, 5, 0, 0, 0, 0), -1000ull);
}

static void only_the_kernel_may_call(void **state)
{
	for (cpl = 1; cpl < 4; cpl++) {
		assert_int_equal(call(*state, 5, 0, 1, 0, 0), -1ull);	/* KVM_EPERM */
		assert_int_equal(call(*state, 10, 1, 0, 0, 0x40), -1ull);
		assert_int_equal(call(*state, 11, 0, 0, 0, 0), -1ull);
	}
	assert_int_equal(unhalted[1], 0);
	assert_int_equal(sent.total, 0);
}

static void a_kick_wakes_one(void **state)
{
	assert_int_equal(call(*state, 5, 0, 287, 0, 0), 0);
	assert_int_equal(unhalted[287], 1);
	assert_int_equal(call(*state, 5, 0, 288, 0, 0), 0);
	assert_int_equal(call(*state, 5, 0, 0xffffffff, 0, 0), 0);
}

static void a_yield_asks_the_scheduler(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	vcpu->requests = 0;
	assert_int_equal(call(*state, 11, 3, 0, 0, 0), 0);
	assert_int_equal(vcpu->requests, REQ_RESCHED);
}

static void ipis_go_where_the_bitmap_says(void **state)
{
	assert_int_equal(call(*state, 10, 0x8000000000000001, 0x8000000000000001, 16, 0x40fd), 4);
	assert_int_equal(sent.count[16], 1);
	assert_int_equal(sent.count[16 + 63], 1);
	assert_int_equal(sent.count[16 + 64], 1);
	assert_int_equal(sent.count[16 + 127], 1);
	assert_int_equal(sent.icr, 0x40fd);
	/* 32-bit code has two words of 32 bits. */
	code_64 = false;
	assert_int_equal(call(*state, 10, 0xffffffff00000001, 0xffffffff80000000, 0xffffffff00000010, 0x40fd), 2);
	assert_int_equal(sent.count[16], 2);
	assert_int_equal(sent.count[16 + 63], 2);
	assert_int_equal(sent.total, 6);
	code_64 = true;
	assert_int_equal(call(*state, 10, 1, 0, 0, 0x800fd), -22ull);	/* a shorthand */
	assert_int_equal(call(*state, 10, 1, 0, 0, 0x008fd), -22ull);	/* logical */
}

static void the_bitmap_ends_with_the_last_processor(void **state)
{
	static const u64 bases[] = { 288, 0xffffffff, ~0ull, ~0ull - 63, ~0ull - 64, ~0ull - 127, 1ull << 63 };

	assert_int_equal(call(*state, 10, ~0ull, ~0ull, 280, 0x40), 8);
	assert_int_equal(call(*state, 10, ~0ull, ~0ull, 224, 0x40), 64);
	assert_int_equal(call(*state, 10, 0, ~0ull, 200, 0x40), 24);
	for (unsigned i = 0; i < ARRAY_SIZE(bases); i++)
		assert_int_equal(call(*state, 10, ~0ull, ~0ull, bases[i], 0x40), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_address_is_checked),
		TEST(what_was_stolen_is_published_in_ns),
		TEST(a_flush_that_others_ask_for_is_made),
		TEST(without_an_area_nothing_is_written),
		TEST(a_stale_address_is_not_used),
		TEST(others_are_unknown),
		TEST(only_the_kernel_may_call),
		TEST(a_kick_wakes_one),
		TEST(a_yield_asks_the_scheduler),
		TEST(ipis_go_where_the_bitmap_says),
		TEST(the_bitmap_ends_with_the_last_processor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
