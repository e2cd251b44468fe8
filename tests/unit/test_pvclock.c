/* SPDX-License-Identifier: MIT */
/*
 * The paravirtual clock. Linux, Documentation/virt/kvm/x86/cpuid.rst and msr.rst: the layouts, and
 * ns = (((tsc - tsc_timestamp) << tsc_shift) * tsc_to_system_mul >> 32) + system_time.
 */
/* link: tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c core/cpu/pvclock.c core/cpu/paravirt.c */
#include <string.h>

#include "fake_vm.h"

#include "core/startup.h"

#include "core/cpu/pvclock.h"
#include "lib/errno.h"

#define PLACE 0x3000

struct system_time {
	u32 version, pad0;
	u64 tsc_timestamp, system_time;
	u32 mul;
	s8 shift;
	u8 flags, pad[2];
};

static struct system_time read_time(struct vm *vm)
{
	struct system_time time;

	memcpy(&time, fake_of(vm)->ram + PLACE, sizeof(time));
	return time;
}

static int set_up(void **state)
{
	struct vm *vm = fake_create(MIB(1));

	memset(fake_of(vm)->ram + PLACE, 0xa5, 64);
	vm->start_tsc = vtimer_now();
	vm->start_time = 0x65432100;
	vm_bsp(vm)->tsc_offset = -vm->start_tsc;
	*state = vm;
	return 0;
}

/* Of the hypercalls, which no test makes here. */
void vcpu_unhalt(struct vcpu *vcpu) { fail(); }
bool vcpu_code_64(struct vcpu *vcpu) { fail(); return false; }
unsigned vcpu_cpl(struct vcpu *vcpu) { fail(); return 0; }

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

static void cpuid_leaves(void **state)
{
	struct cpuid_regs r = pvclock_cpuid(0x40000100, 1);

	assert_int_equal(r.eax, 0x40000101);	/* the highest leaf */
	assert_memory_equal(&r.ebx, "KVMK", 4);
	assert_memory_equal(&r.ecx, "VMKV", 4);
	assert_memory_equal(&r.edx, "M\0\0\0", 4);
	r = pvclock_cpuid(0x40000101, 1);
	/* KVM_FEATURE_NOP_IO_DELAY, CLOCKSOURCE2, STEAL_TIME, CLOCKSOURCE_STABLE_BIT */
	assert_int_equal(r.eax, 1u << 1 | 1u << 3 | 1u << 5 | 1u << 24);
	/* And PV_UNHALT, PV_TLB_FLUSH, PV_SEND_IPI, PV_SCHED_YIELD */
	assert_int_equal(pvclock_cpuid(0x40000101, 2).eax, r.eax | 1u << 7 | 1u << 9 | 1u << 11 | 1u << 13);
	assert_int_equal(pvclock_cpuid(0x40000101, 255).eax, pvclock_cpuid(0x40000101, 2).eax);
	/* MSI_EXT_DEST_ID, with an id that 8 bits cannot name */
	assert_int_equal(pvclock_cpuid(0x40000101, 256).eax, pvclock_cpuid(0x40000101, 2).eax | 1u << 15);
	assert_int_equal(r.ebx | r.ecx | r.edx, 0);
}

static u64 to_ns(const struct system_time *time, u64 ticks)
{
	ticks = time->shift < 0 ? ticks >> -time->shift : ticks << time->shift;
	return (u64)((unsigned __int128)ticks * time->mul >> 32);
}

static void time_runs_at_the_frequency(void **state)
{
	static const u64 hz[] = { 250000000, 999999999, 1000000000, 1000000001, 1999999999, 2000000000, 2000000001,
				  2399123457, 4000000000, 4000000001, 5700000000 };
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
		struct system_time time;

		fake_hz = hz[i];
		assert_int_equal(pvclock_write_system(vm_bsp(vm), PLACE | 1), 0);
		time = read_time(vm);
		/* A second, to 10 ns; the multiplier has its highest bit set, so that its precision is fully used. */
		assert_in_range(to_ns(&time, hz[i]), 999999990, 1000000000);
		assert_true(time.mul >> 31);
	}
}

static void the_record(void **state)
{
	struct vm *vm = *state;
	struct system_time time;

	fake_hz = 2000000000;
	vm_bsp(vm)->tsc_offset += 6000000;	/* the guest has set its TSC */
	fake_advance(vm, 7000000);
	assert_int_equal(pvclock_write_system(vm_bsp(vm), PLACE | 1), 0);
	time = read_time(vm);
	assert_int_equal(time.version, 2);	/* even: not being written */
	assert_int_equal(time.pad0, 0);
	assert_int_equal(time.tsc_timestamp, 6000000);
	assert_int_equal(time.system_time, 0);
	assert_int_equal(time.flags, 1);	/* PVCLOCK_TSC_STABLE_BIT */
	assert_int_equal(fake_of(vm)->ram[PLACE + 32], 0xa5);
	/* 2 GHz is (1 << 0) ticks of half a ns: the frequency lies above 1 GHz and not above 2. */
	assert_int_equal(time.shift, 0);
	assert_int_equal(time.mul, 0x80000000);
}

/* Whenever they ask for it, and whatever their TSCs are: their records begin at the same moment. */
static void all_vcpus_have_the_same_time(void **state)
{
	struct vm *vm = *state;

	for (u32 i = 0; i < 4; i++) {
		struct vcpu *vcpu = vm->vcpus[i];
		struct system_time time;

		vcpu->tsc_offset = 1000003ull * i - vm->start_tsc;
		fake_advance(vm, 1234567);
		assert_int_equal(pvclock_write_system(vcpu, PLACE | 1), 0);
		time = read_time(vm);
		assert_int_equal(time.tsc_timestamp, 1000003ull * i);
		assert_int_equal(time.system_time, 0);
	}
}

static void bit_0_enables_it(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(pvclock_write_system(vm_bsp(vm), PLACE), 0);
	assert_int_equal(fake_of(vm)->ram[PLACE], 0xa5);
	assert_int_equal(pvclock_write_system(vm_bsp(vm), GIB(2)), 0);
}

static void a_place_without_ram_is_refused(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(pvclock_write_system(vm_bsp(vm), GIB(2) | 1), -EINVAL);
	assert_int_equal(pvclock_write_wall(vm_bsp(vm), GIB(2)), -EINVAL);
}

static void wall_clock(void **state)
{
	struct vm *vm = *state;
	u32 wall[3];

	assert_int_equal(pvclock_write_wall(vm_bsp(vm), PLACE), 0);
	memcpy(wall, fake_of(vm)->ram + PLACE, sizeof(wall));
	assert_int_equal(wall[0], 2);
	assert_int_equal(wall[1], 0x65432100);
	assert_int_equal(wall[2], 0);
	assert_int_equal(fake_of(vm)->ram[PLACE + 12], 0xa5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cpuid_leaves),
		TEST(time_runs_at_the_frequency),
		TEST(the_record),
		TEST(all_vcpus_have_the_same_time),
		TEST(bit_0_enables_it),
		TEST(a_place_without_ram_is_refused),
		TEST(wall_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
