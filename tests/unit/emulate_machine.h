/* SPDX-License-Identifier: MIT */
/* For the tests of the emulator: a small guest in 64-bit mode, with device memory. */
#pragma once

#include <string.h>

#include "core/emulate/emulate.h"
#include "fake_vcpu.h"

/* 64-bit mode with 4 KiB pages for the lowest 2 MiB of linear addresses. */
#define PML4 0x1000
#define PDPT 0x2000
#define PD   0x3000
#define PT   0x4000
#define CODE 0x10000ull		/* linear and physical */
#define DATA 0x20000ull
#define DEVICE 0x30000ull	/* linear; to FAKE_MMIO and up */
#define DEVICE_PAGES 4

#define ALL (PTE_PRESENT | PTE_WRITE | PTE_USER)

static inline u64 *pte(gva_t gva)
{
	return (u64 *)(fake.ram + PT) + (gva >> PAGE_SHIFT);
}

static inline void enter_long_mode(void)
{
	fake_long_mode();
	fake.controls[CTL_CR3] = PML4;
	*(u64 *)(fake.ram + PML4) = PDPT | ALL;
	*(u64 *)(fake.ram + PDPT) = PD | ALL;
	*(u64 *)(fake.ram + PD) = PT | ALL;
	for (gva_t gva = 0; gva < MIB(2); gva += PAGE_SIZE)
		*pte(gva) = gva | ALL;
	for (unsigned i = 0; i < DEVICE_PAGES; i++)
		*pte(DEVICE + i * PAGE_SIZE) = (FAKE_MMIO + i * PAGE_SIZE) | ALL;
}

static inline int setup(void **state)
{
	fake_machine_create();
	enter_long_mode();
	return 0;
}

static inline int teardown(void **state)
{
	fake_machine_destroy();
	return 0;
}

static inline u64 get(enum vcpu_reg reg)
{
	return vcpu_reg_read(&fake.vcpu, reg);
}

static inline void set(enum vcpu_reg reg, u64 value)
{
	vcpu_reg_write(&fake.vcpu, reg, value);
}

static inline void place(u64 rip, const u8 *bytes, size_t length)
{
	memcpy(fake.ram + rip, bytes, length);
	set(REG_RIP, rip);
	fake_forget();
	fake.vm.state = VM_RUNNING;
}

#define PLACE(rip, ...) \
	place((rip), (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

static inline void access_device(gpa_t gpa, enum tdp_access access)
{
	const struct tdp_fault fault = { .gpa = gpa, .access = access, .what = "test" };

	emulate_mmio(&fake.vcpu, &fault);
}

static inline void expect_done(u64 rip)
{
	assert_false(fake.faulted);
	assert_string_equal(fake.words, "");
	assert_int_equal(fake.instructions_done, 1);
	assert_int_equal(get(REG_RIP), rip);
}

static inline void expect_raised(u8 vector, u32 error_code, u64 address, u64 rip)
{
	assert_true(fake.faulted);
	assert_false(fake.ended);
	assert_int_equal(fake.vector, vector);
	assert_int_equal(fake.error_code, error_code);
	if (vector == X86_PF)
		assert_int_equal(fake.payload, address);
	assert_int_equal(fake.instructions_done, 0);
	assert_int_equal(get(REG_RIP), rip);
}

static inline void expect_words(const char *part)
{
	assert_true(fake.ended);
	if (!strstr(fake.words, part))
		fail_msg("\"%s\" does not say \"%s\"", fake.words, part);
	assert_false(fake.faulted);
	assert_int_equal(fake.instructions_done, 0);
}

/* The instruction is none that Lamina emulates: #UD, and words. */
static inline void expect_refused(const char *part)
{
	assert_false(fake.ended);
	if (!strstr(fake.words, part))
		fail_msg("\"%s\" does not say \"%s\"", fake.words, part);
	assert_true(fake.faulted);
	assert_int_equal(fake.vector, X86_UD);
	assert_int_equal(fake.instructions_done, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
