/* SPDX-License-Identifier: MIT */
/*
 * The host's local APIC: its mode and its local vector table. Intel SDM, "Extended XAPIC (x2APIC)",
 * "Local Vector Table": bits 10:8 are the delivery mode
 * (010b SMI, 100b NMI), bit 13 the polarity of LINT0 and LINT1, bit 16 the mask.
 */
/* link: lib/keyval.c lib/string.c tests/unit/fake_cpu.c */
#include <string.h>

#include "tests/unit/apart.h"
#include "tests/unit/choice.h"
#include "tests/unit/fake_cpu.h"
#include "tests/unit/home_cpu.h"
#include "arch/acpi/acpi.h"
#include "arch/apic/irq.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/mem/mapping.h"
#include "arch/time/clock.h"
#include "lib/errno.h"
#include "lib/log.h"

#include "arch/apic/lapic.c"

#define PAGE	0xfee00000u
#define MASKED	0x10000u
#define CMCI	(0x2f0 / 4)
#define LVT(n)	(0x320 / 4 + (n) * 4)	/* timer, thermal, performance, LINT0, LINT1, error */
enum { TIMER, THERMAL, PERFORMANCE, LINT0, LINT1, ERROR };

struct cpu_features cpu_features;
struct acpi_madt_info acpi_madt;
static u8 dmar[48];
static bool has_dmar;
static char said[256];
static u32 registers[1024];
static struct acpi_nmi_inputs nmi_inputs;

struct percpu *this_cpu(void) { return &home; }
void *mmio_map(hpa_t pa, u64 size) { assert_int_equal(pa, PAGE); return registers; }
u64 clock_deadline_us(u64 us) { return 0; }
bool clock_expired(u64 deadline) { return true; }
void irq_set_handler(u8 vector, irq_handler_t handler) { }
const struct acpi_header *acpi_find(const char *signature, unsigned n)
{
	assert_string_equal(signature, "DMAR");
	return has_dmar && n == 0 ? (const struct acpi_header *)dmar : NULL;
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	if (level == LOG_WARN)
		strncpy(said, format, sizeof(said) - 1);
}
struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf) { return (struct cpuid_regs){ .edx = 1 << 9 }; }

struct acpi_nmi_inputs acpi_madt_nmi(u32 apic_id)
{
	assert_int_equal(apic_id, registers[0x20 / 4] >> 24);
	return nmi_inputs;
}

/* An xAPIC with `last` as the number of its highest entry. */
static void machine(u32 last)
{
	home_reset();
	fake_msr(0x1b)->value = PAGE | 1 << 11 | 1 << 8;
	registers[0x20 / 4] = 5u << 24;
	registers[0x30 / 4] = last << 16 | 0x15;
	for (unsigned n = TIMER; n <= ERROR; n++)
		registers[LVT(n)] = 0x30 + n;
	registers[CMCI] = 0x37;
}

/* As INIT leaves it. */
static void another_cpu(void)
{
	registers[0x20 / 4] = 6u << 24;
	for (unsigned n = TIMER; n <= ERROR; n++)
		registers[LVT(n)] = MASKED;
	registers[CMCI] = MASKED;
}

static void all_is_masked_but_the_nmi(void **state)
{
	machine(6);
	assert_int_equal(lapic_init(), 0);
	assert_int_equal(registers[LVT(TIMER)], MASKED | IRQ_VECTOR_TIMER);
	assert_int_equal(registers[LVT(THERMAL)], MASKED);
	assert_int_equal(registers[LVT(PERFORMANCE)], MASKED);
	assert_int_equal(registers[LVT(LINT0)], MASKED);
	assert_int_equal(registers[LVT(LINT1)], 0x400);
	assert_int_equal(registers[LVT(ERROR)], IRQ_VECTOR_LAPIC_ERROR);
	assert_int_equal(registers[CMCI], MASKED);
	another_cpu();
	assert_int_equal(lapic_init_secondary(), 0);
	assert_int_equal(registers[LVT(LINT1)], MASKED);
	assert_int_equal(registers[CMCI], MASKED);
}

/* The firmware's: as they were, and on other CPUs, where INIT has reset them, as on the boot CPU. */
static void smi_mode_is_the_firmwares(void **state)
{
	machine(6);
	registers[LVT(THERMAL)] = 0x200;
	registers[LVT(PERFORMANCE)] = MASKED | 0x200;
	registers[LVT(LINT0)] = 0x2200;
	registers[CMCI] = 0x1200;		/* one is being delivered: bit 12 is read-only */
	assert_int_equal(lapic_init(), 0);
	assert_int_equal(registers[LVT(THERMAL)], 0x200);
	assert_int_equal(registers[LVT(PERFORMANCE)], MASKED | 0x200);
	assert_int_equal(registers[LVT(LINT0)], 0x2200);
	assert_int_equal(registers[LVT(LINT1)], 0x400);
	assert_int_equal(registers[CMCI], 0x1200);
	another_cpu();
	assert_int_equal(lapic_init_secondary(), 0);
	assert_int_equal(registers[LVT(THERMAL)], 0x200);
	assert_int_equal(registers[LVT(PERFORMANCE)], MASKED | 0x200);
	assert_int_equal(registers[LVT(LINT0)], MASKED);
	assert_int_equal(registers[CMCI], 0x200);
}

/* Each delivery mode but SMI's is masked. */
static void other_modes_are_not(void **state)
{
	static const u32 modes[] = { 0, 1, 3, 4, 5, 6, 7 };

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		machine(6);
		registers[LVT(THERMAL)] = registers[LVT(PERFORMANCE)] = registers[CMCI] = modes[i] << 8;
		assert_int_equal(lapic_init(), 0);
		assert_int_equal(registers[LVT(THERMAL)], MASKED);
		assert_int_equal(registers[LVT(PERFORMANCE)], MASKED);
		assert_int_equal(registers[CMCI], MASKED);
	}
}

/* The number of its highest entry says which an APIC has: 3, 4 with performance counters, 5 thermal, 6 CMCI. */
static void entries_that_are_not_there_are_left_alone(void **state)
{
	for (u32 last = 3; last <= 6; last++) {
		machine(last);
		assert_int_equal(lapic_init(), 0);
		assert_int_equal(registers[LVT(PERFORMANCE)], last >= 4 ? MASKED : 0x32);
		assert_int_equal(registers[LVT(THERMAL)], last >= 5 ? MASKED : 0x31);
		assert_int_equal(registers[CMCI], last >= 6 ? MASKED : 0x37);
	}
}

static void the_nmi_comes_where_the_madt_says(void **state)
{
	machine(6);
	nmi_inputs = (struct acpi_nmi_inputs){ .nmi = { true, false }, .active_low = { true, false } };
	assert_int_equal(lapic_init(), 0);
	assert_int_equal(registers[LVT(LINT0)], 0x2400);
	assert_int_equal(registers[LVT(LINT1)], MASKED);
	machine(6);
	nmi_inputs = (struct acpi_nmi_inputs){ .nmi = { true, true } };
	assert_int_equal(lapic_init(), 0);
	assert_int_equal(registers[LVT(LINT0)], 0x400);
	assert_int_equal(registers[LVT(LINT1)], 0x400);
	machine(6);
	registers[LVT(LINT1)] = 0x200;
	assert_int_equal(lapic_init(), 0);
	assert_int_equal(registers[LVT(LINT1)], 0x200);
}

static bool is_x2apic(void)
{
	assert_int_equal(lapic_init(), 0);
	assert_int_equal(fake_msr(0x1b)->value & ~(1ull << 10), PAGE | 1 << 11 | 1 << 8);
	return fake_msr(0x1b)->value >> 10 & 1;
}

/* IA32_APIC_BASE bit 10 is x2APIC mode. The registers are MSRs then, from 800h on: 803h the version. */
static void machine_with_x2apic(bool on)
{
	machine(6);
	cpu_features.x2apic = true;
	fake_msr(0x1b)->value |= on ? 1 << 10 : 0;
	fake_msr(0x802)->value = 5;
	fake_msr(0x803)->value = 6 << 16 | 0x15;
}

static void the_mode_stays_as_it_was(void **state)
{
	machine_with_x2apic(false);
	assert_false(is_x2apic());
	assert_true(lapic_reaches(254));
	assert_false(lapic_reaches(255));
}

static void the_firmwares_x2apic_mode_stays(void **state)
{
	machine_with_x2apic(true);
	assert_true(is_x2apic());
	assert_true(lapic_reaches(300));
	assert_int_equal(fake_msr(0x836)->value, 0x400);	/* LINT1 */
}

static void wide_ids(u32 id)
{
	acpi_madt.cpus = 2;
	acpi_madt.cpu[0] = 0;
	acpi_madt.cpu[1] = id;
}

/* 255 is the broadcast in xAPIC mode. */
static void ids_above_254_need_x2apic(void **state)
{
	machine_with_x2apic(false);
	wide_ids(254);
	assert_false(is_x2apic());
	wide_ids(255);
	assert_true(is_x2apic());
	assert_string_equal(said, "");
}

/* Bit 1 of the flags, which are the byte behind the header (36 bytes) and the address width. */
static void the_firmware_may_forbid_it(void **state)
{
	machine_with_x2apic(false);
	wide_ids(300);
	has_dmar = true;
	dmar[4] = sizeof(dmar);
	dmar[37] = 2;
	assert_false(is_x2apic());
	assert_non_null(strstr(said, "forbids x2APIC mode"));
	dmar[37] = 1;		/* interrupt remapping, and no more */
	assert_true(is_x2apic());
}

static void a_short_dmar_forbids_nothing(void **state)
{
	machine_with_x2apic(false);
	wide_ids(300);
	has_dmar = true;
	dmar[4] = 37;
	dmar[37] = 2;
	assert_true(is_x2apic());
}

static void the_option_is_obeyed(void **state)
{
	machine_with_x2apic(false);
	choose(&option_x2apic, "auto");
	assert_false(is_x2apic());
	choose(&option_x2apic, "on");
	has_dmar = true;
	dmar[4] = sizeof(dmar);
	dmar[37] = 2;
	assert_true(is_x2apic());
	assert_string_equal(said, "");
}

static void it_is_not_tried_without_it(void **state)
{
	machine(6);
	wide_ids(300);
	choose(&option_x2apic, "on");
	assert_false(is_x2apic());
}

/* It cannot come back from x2APIC mode without being disabled. */
static void another_cpu_must_have_the_same_mode(void **state)
{
	machine_with_x2apic(false);
	assert_false(is_x2apic());
	fake_msr(0x1b)->value = PAGE | 1 << 11 | 1 << 10;
	assert_int_equal(lapic_init_secondary(), -EINVAL);
	fake_msr(0x1b)->value = PAGE + 0x1000;
	assert_int_equal(lapic_init_secondary(), -EINVAL);
	fake_msr(0x1b)->value = PAGE;
	assert_int_equal(lapic_init_secondary(), 0);
	assert_int_equal(fake_msr(0x1b)->value, PAGE | 1 << 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_cpu_test_setup(all_is_masked_but_the_nmi, NULL),
		fake_cpu_test_setup(smi_mode_is_the_firmwares, NULL),
		fake_cpu_test_setup(other_modes_are_not, NULL),
		fake_cpu_test_setup(entries_that_are_not_there_are_left_alone, NULL),
		fake_cpu_test_setup(the_nmi_comes_where_the_madt_says, NULL),
		fake_cpu_test_setup(the_mode_stays_as_it_was, NULL),
		fake_cpu_test_setup(the_firmwares_x2apic_mode_stays, NULL),
		fake_cpu_test_setup(ids_above_254_need_x2apic, NULL),
		fake_cpu_test_setup(the_firmware_may_forbid_it, NULL),
		fake_cpu_test_setup(a_short_dmar_forbids_nothing, NULL),
		fake_cpu_test_setup(the_option_is_obeyed, NULL),
		fake_cpu_test_setup(it_is_not_tried_without_it, NULL),
		fake_cpu_test_setup(another_cpu_must_have_the_same_mode, NULL),
	};

	return run_apart("test_lapic", tests, ARRAY_SIZE(tests));
}
