/* SPDX-License-Identifier: MIT */
/*
 * Pieces of a VM's RAM are handed out to whoever comes next: the service thread, and CPUs that would sleep. A helper
 * says that it works before it looks whether there is a job, and the thread ends the job before it looks whether anybody
 * works: when guest_mem_clear() returns, all pieces are cleared, and nobody will touch the VM any more.
 */
#include "core/mem/guest_clear.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/mem/paging.h"
#include "arch/time/clock.h"
#include "core/mem/guest_mem.h"
#include "core/sched.h"
#include "core/service.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/string.h"

#define CLEAR_PIECE	  (128ull << 10)	/* others of the CPU wait for so long; a divisor of the sizes of RAM */
#define REPORT_US 2000000u		/* of a long clearing, how far it has got */

static struct {
	struct vm *vm;	/* atomic: whose RAM is being cleared; NULL: nobody's */
	u64 next;	/* atomic: the first byte that nobody has taken, counted without the hole below 4 GiB */
	u32 helpers;	/* atomic: CPUs that look at this, but the service thread's */
	u64 helped;	/* atomic: bytes that they have cleared */
} job;

/* The next piece; its end, counted as job.next. 0: all are taken. */
static u64 clear_piece(const struct vm *vm)
{
	u64 at = __atomic_fetch_add(&job.next, CLEAR_PIECE, __ATOMIC_RELAXED);

	if (at >= vm->mem.size)
		return 0;
	clear_large(guest_window(at < vm->mem.low_size ? at : GUEST_HIGH_RAM + (at - vm->mem.low_size)), CLEAR_PIECE);
	return at + CLEAR_PIECE;
}

static bool help(const struct vm *vm)
{
	const struct vcpu *current = this_cpu()->current_vcpu;
	bool cleared;

	address_space_switch(&vm->space);
	cleared = clear_piece(vm);
	address_space_switch(current ? &current->vm->space : &kernel_space);
	if (cleared)
		__atomic_fetch_add(&job.helped, CLEAR_PIECE, __ATOMIC_RELAXED);
	return cleared;
}

bool guest_mem_clear_help(void)
{
	const struct vm *vm;
	bool cleared;

	if (likely(!READ_ONCE(job.vm)))
		return false;
	__atomic_fetch_add(&job.helpers, 1, __ATOMIC_SEQ_CST);
	vm = __atomic_load_n(&job.vm, __ATOMIC_SEQ_CST);
	cleared = vm && help(vm);
	__atomic_fetch_sub(&job.helpers, 1, __ATOMIC_RELEASE);
	return cleared;
}

static void report(struct vm *vm, u64 end, u64 *report_us)
{
	u64 now = clock_us_since_boot();

	if (now < *report_us)
		return;
	*report_us = now + REPORT_US;
	vm_info(vm, "clearing its memory: %llu of %llu MiB", (unsigned long long)end >> 20,
		(unsigned long long)vm->mem.size >> 20);
}

void guest_mem_clear(struct vm *vm)
{
	u64 report_us = clock_us_since_boot() + REPORT_US, end;

	job.next = job.helped = 0;
	__atomic_store_n(&job.vm, vm, __ATOMIC_SEQ_CST);
	sched_wake_idle();
	while ((end = clear_piece(vm))) {
		service_pause();
		report(vm, end, &report_us);
	}
	__atomic_store_n(&job.vm, NULL, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&job.helpers, __ATOMIC_SEQ_CST)) {
		cpu_relax();
		service_pause();
	}
	if (job.helped)
		vm_debug(vm, "other CPUs have cleared %llu of its %llu MiB", (unsigned long long)job.helped >> 20,
			 (unsigned long long)vm->mem.size >> 20);
}
