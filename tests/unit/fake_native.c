/* SPDX-License-Identifier: MIT */
/*
 * arch/fault/native.c in a process: the instruction runs here, and signals stand for exceptions. Link it with
 * arch/fault/native_run.asm.
 */
#define _GNU_SOURCE
#include "fake_native.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "arch/cpu/fpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/native.h"
#include "arch/mem/pool.h"
#include "lib/errno.h"

#define BASE 0x60000000ull
#define OPERAND (BASE + 2 * PAGE_SIZE)

u8 fake_vectors[1024];

static struct native_fault caught;
static bool ready;

/* The kernel passes the vector and the error code on; an address without a page fault is not one. */
static void on_signal(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	if ((u64)registers[REG_RIP] != BASE) {	/* not ours: die of it */
		signal(number, SIG_DFL);
		return;
	}
	caught = (struct native_fault){
		.vector = (u8)registers[REG_TRAPNO], .error_code = (u32)registers[REG_ERR],
		.address = (u64)registers[REG_CR2],
	};
	registers[REG_RIP] = (greg_t)native_faulted;
}

static void map(u64 address, size_t size, int protection)
{
	void *memory = mmap((void *)address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	assert_ptr_equal(memory, (void *)address);
}

int native_prepare(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	if (!ready) {
		map(BASE, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
		map(OPERAND, NATIVE_MEMORY, PROT_READ | PROT_WRITE);
		ready = true;
	}
	/* Each time: cmocka has its own for each test. */
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	return 0;
}

u8 *native_memory_end(void)
{
	return (u8 *)(OPERAND + NATIVE_MEMORY);
}

u64 native_code_address(void)
{
	return BASE;
}

int native_run(const u8 *code, unsigned length, struct native_regs *regs, struct native_fault *fault)
{
	static const u8 jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
	u64 back = (u64)native_left;
	u32 mxcsr = 0x1f80;
	int faulted;

	memcpy((u8 *)BASE, code, length);
	memcpy((u8 *)BASE + length, jump, sizeof(jump));
	memcpy((u8 *)BASE + length + sizeof(jump), &back, sizeof(back));
	__asm__ volatile("fninit; xrstor64 (%0)" : : "r"(fake_vectors), "a"(7), "d"(0) : "memory");
	faulted = native_enter(regs, BASE);
	__asm__ volatile("xsave64 (%0); fninit; vzeroall; ldmxcsr %1"
			 : : "r"(fake_vectors), "m"(mxcsr), "a"(7), "d"(0) : "memory");
	if (!faulted)
		return 0;
	*fault = caught;
	return -EFAULT;
}

/* --- what core/emulate/native.c needs besides --- */

unsigned fpu_image_order(void)
{
	return 0;
}

void *pages_alloc(unsigned order)
{
	return malloc(PAGE_SIZE << order);
}

void pages_free(void *pages, unsigned order)
{
	free(pages);
}

void fpu_copy(struct fpu_state *state)
{
	memcpy(state->image, fake_vectors, sizeof(fake_vectors));
}

void fpu_put_back(struct fpu_state *state)
{
	memcpy(fake_vectors, state->image, sizeof(fake_vectors));
}
