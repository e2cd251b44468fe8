/* SPDX-License-Identifier: MIT */
/*
 * A vCPU without a processor, in a VM with RAM from 0 on, one window of device memory, and ports that
 * record what is written to them. Link: tests/unit/fake_vcpu.c core/cpu/control.c.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "core/emulate/gwalk.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/types.h"

#define FAKE_RAM_SIZE	MIB(2)
#define FAKE_MMIO	0x50000000ull
#define FAKE_MMIO_SIZE	KIB(64)
#define FAKE_PORT_LOG	4096

struct fake_machine {
	struct vm vm;
	struct vcpu vcpu;
	u64 controls[CTL_XCR0 + 1];
	struct segment segments[SEG_COUNT];
	struct descriptor_table tables[2];	/* GDTR, IDTR */
	u8 physical_bits;
	u64 breakpoints[4];		/* DR0 to DR3 */

	u8 *ram, *mmio;			/* heap blocks of exactly their size */
	unsigned mmio_reads, mmio_writes;
	gpa_t last_mmio_gpa;
	unsigned last_mmio_size;
	u64 now;			/* ns, and ticks of the TSC */
	/* Called at each access to device memory or a port, if set. */
	void (*on_access)(void);

	/* Results of the emulated instruction. */
	bool faulted;
	u8 vector;
	bool has_code;
	u32 error_code;
	u64 payload;
	unsigned instructions_done;
	bool ended;
	char words[512];

	u8 port_in;			/* each byte that is read is one more than the last */
	u16 port;
	unsigned port_size, port_writes;
	u32 port_written[FAKE_PORT_LOG];
};

extern struct fake_machine fake;

/* Memory zero, vCPU in its power-up state; fake_forget() clears the results of earlier instructions. */
void fake_machine_create(void);
void fake_machine_destroy(void);
void fake_forget(void);

/* Flat segments and control registers of a mode, without paging where the mode allows that. */
void fake_real_mode(void);
void fake_protected_mode(bool code_32);
void fake_long_mode(void);	/* with EFER.LMA and CS.L; the page tables are the caller's */
void fake_set_cpl(unsigned cpl);

/* *fault must be this exception; the address counts only for a page fault. */
void expect_fault(const struct guest_fault *fault, u8 vector, u32 error_code, u64 address);

u64 fake_random(u64 *state);
