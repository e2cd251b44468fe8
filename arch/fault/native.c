/* SPDX-License-Identifier: MIT */
/* One instruction of a guest, executed on memory of Lamina's. */
#include "arch/fault/native.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/fault/trap.h"
#include "arch/mem/memory.h"
#include "arch/mem/paging.h"
#include "arch/mem/pool.h"
#include "lib/errno.h"
#include "lib/spinlock.h"
#include "lib/string.h"

/* Pages of a CPU's slot: code RX, none, operand RW, none. */
#define SLOT	     (8 * PAGE_SIZE)
#define OPERAND	     (2 * PAGE_SIZE)
#define NATIVE_ORDER 2
_Static_assert(NATIVE_MEMORY == PAGE_SIZE << NATIVE_ORDER && OPERAND + NATIVE_MEMORY < SLOT, "what fits");

struct native {
	u8 *code;			/* in the direct map, where it can be written */
	u64 base;			/* of the slot */
	struct native_fault fault;	/* of the last fault; written in its handler */
};

/* JMP [RIP + 0], and the address that follows it. */
static const u8 jump[] = { 0xff, 0x25, 0, 0, 0, 0 };

/* Two CPUs may add page tables at the same time. */
static struct spinlock lock = SPINLOCK_INIT(LOCK_NATIVE);

/* What a failed attempt has taken stays taken: the pool is at its end anyway. */
static int create(struct percpu *cpu)
{
	struct native *native = page_alloc();
	u8 *code = page_alloc(), *operand = pages_alloc(NATIVE_ORDER);
	u64 base = HOST_NATIVE + cpu->index * SLOT;

	if (!native || !code || !operand ||
	    paging_map(&kernel_space, base, virt_to_phys(code), PAGE_SIZE, MAP_EXEC) ||
	    paging_map(&kernel_space, base + OPERAND, virt_to_phys(operand), NATIVE_MEMORY, MAP_WRITE))
		return -ENOMEM;
	native->code = code;
	native->base = base;
	cpu->native = native;
	return 0;
}

int native_prepare(void)
{
	struct percpu *cpu = this_cpu();
	int error = 0;

	if (cpu->native_failed)
		return -ENOMEM;
	if (cpu->native)
		return 0;
	spin_lock(&lock);
	error = create(cpu);
	spin_unlock(&lock);
	cpu->native_failed = error;
	return error;
}

u8 *native_memory_end(void)
{
	return (u8 *)(this_cpu()->native->base + OPERAND + NATIVE_MEMORY);
}

u64 native_code_address(void)
{
	return this_cpu()->native->base;
}

bool native_fix_up(struct trap_frame *frame)
{
	struct native *native = this_cpu()->native;

	if (!native || frame->rip != native->base)
		return false;
	native->fault = (struct native_fault){
		.vector = (u8)frame->vector, .error_code = (u32)frame->error_code, .address = read_cr2(),
	};
	frame->rip = (u64)native_faulted;
	return true;
}

int native_run(const u8 *code, unsigned length, struct native_regs *regs, struct native_fault *fault)
{
	struct native *native = this_cpu()->native;
	u64 back = (u64)native_left, cr2 = read_cr2();
	int faulted;

	memcpy(native->code, code, length);
	memcpy(native->code + length, jump, sizeof(jump));
	memcpy(native->code + length + sizeof(jump), &back, sizeof(back));
	/*
	 * CR2 is still the guest's. Writing it serializes, too, as code needs that was written by another address.
	 * SDM, "Handling Self- and Cross-Modifying Code".
	 */
	write_cr2(cr2);
	faulted = native_enter(regs, native->base);
	write_cr2(cr2);
	if (faulted)
		*fault = native->fault;
	return faulted ? -EFAULT : 0;
}
