/* SPDX-License-Identifier: MIT */
/* C constants for the assembly files of boot and arch. Compiled to assembly text, never linked. */
#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/cpu/gdt.h"
#include "arch/cpu/percpu.h"
#include "arch/fault/stage.h"
#include "arch/mem/paging.h"
#include "lib/offsets.h"

void offsets(void);

void offsets(void)
{
	DEFINE(HOST_IMAGE, HOST_IMAGE);
	DEFINE(DIRECT_MAP_INDEX, HOST_DIRECT_MAP >> 39 & 511);
	DEFINE(EARLY_GIB, EARLY_MEMORY >> 30);
	DEFINE(STAGE_PORT, STAGE_PORT);
	DEFINE(STAGE_ENTRY, STAGE_ENTRY);
	DEFINE(STAGE_PROCESSOR, STAGE_PROCESSOR);
	DEFINE(STAGE_BOOT_TABLES, STAGE_BOOT_TABLES);
	DEFINE(STAGE_LONG_MODE, STAGE_LONG_MODE);
	DEFINE(STAGE_HIGHER_HALF, STAGE_HIGHER_HALF);
	DEFINE(GDT_CODE, GDT_CODE);
	DEFINE(GDT_DATA, GDT_DATA);
	DEFINE(IRQ_VECTOR_FORCE_EXIT, IRQ_VECTOR_FORCE_EXIT);
	DEFINE(LAPIC_EOI_OFFSET, LAPIC_EOI * 16);
	DEFINE(MSR_X2APIC_EOI, MSR_X2APIC(LAPIC_EOI));
	DEFINE(PERCPU_STACK_TOP, offsetof(struct percpu, stack_top));
}
