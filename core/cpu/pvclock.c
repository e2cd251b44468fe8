/* SPDX-License-Identifier: MIT */
/*
 * The paravirtual clock. A guest registers an address. Lamina writes the clock's parameters there once:
 * they stay valid, because the TSC's rate is constant and only the guest itself changes its offset.
 */
#include "core/cpu/pvclock.h"

#include "arch/time/clock.h"
#include "core/cpu/paravirt.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"

#define FEATURE_NO_IO_DELAY  BIT(1)	/* ports need no delays between accesses */
#define FEATURE_CLOCK	     BIT(3)
#define FEATURE_CLOCK_STABLE BIT(24)	/* FLAG_TSC_STABLE below is valid */

#define FLAG_TSC_STABLE BIT(0)

#define SYSTEM_ENABLE	BIT_ULL(0)
#define NS_PER_SECOND	1000000000ull

struct system_time {
	u32 version;		/* odd while it is being written */
	u32 reserved0;
	u64 tsc_timestamp;
	u64 system_time;	/* ns at tsc_timestamp */
	u32 tsc_to_system_mul;	/* ns = (ticks << shift) * mul >> 32 */
	s8 tsc_shift;
	u8 flags;
	u8 reserved1[2];
};
_Static_assert(sizeof(struct system_time) == 32, "pvclock ABI");

struct wall_clock {
	u32 version;
	u32 seconds, nanoseconds;	/* of the epoch at system time 0 */
};
_Static_assert(sizeof(struct wall_clock) == 12, "pvclock ABI");

struct cpuid_regs pvclock_cpuid(u32 leaf, u32 vcpus)
{
	if (leaf == PVCLOCK_CPUID_BASE)	/* "KVMKVMKVM" */
		return (struct cpuid_regs){ PVCLOCK_CPUID_MAX, 0x4b4d564b, 0x564b4d56, 0x4d };
	return (struct cpuid_regs){
		.eax = FEATURE_NO_IO_DELAY | FEATURE_CLOCK | FEATURE_CLOCK_STABLE | paravirt_features(vcpus),
	};
}

/* The multiplier with the most bits that fit into 32: shift the frequency to between 1 and 2 GHz. */
static void tsc_scale(u64 hz, u32 *mul, s8 *shift)
{
	s8 by = 0;

	while (hz > 2 * NS_PER_SECOND) {
		hz >>= 1;
		by--;
	}
	while (hz <= NS_PER_SECOND) {
		hz <<= 1;
		by++;
	}
	*shift = by;
	*mul = (u32)vtimer_scale(NS_PER_SECOND, 1ull << 32, hz);
}

int pvclock_write_system(struct vcpu *vcpu, u64 value)
{
	/* The same moment for all vCPUs, the VM's start: else rounding would set their clocks apart in time. */
	struct system_time time = {
		.version = 2, .flags = FLAG_TSC_STABLE,
		.tsc_timestamp = vcpu_guest_tsc(vcpu, vcpu->vm->start_tsc), .system_time = 0,
	};

	if (!(value & SYSTEM_ENABLE))
		return 0;
	tsc_scale(clock_tsc_hz(), &time.tsc_to_system_mul, &time.tsc_shift);
	return guest_write(vcpu->vm, value & ~SYSTEM_ENABLE, &time, sizeof(time)) ? -EINVAL : 0;
}

int pvclock_write_wall(struct vcpu *vcpu, u64 value)
{
	const struct wall_clock wall = { .version = 2, .seconds = (u32)vcpu->vm->start_time };

	return guest_write(vcpu->vm, value, &wall, sizeof(wall)) ? -EINVAL : 0;
}
