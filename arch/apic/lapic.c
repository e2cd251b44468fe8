/* SPDX-License-Identifier: MIT */
/*
 * The local APIC without its timer.
 * Intel SDM, "Advanced Programmable Interrupt Controller (APIC)".
 */
#include "arch/apic/lapic.h"

#include "arch/acpi/acpi.h"
#include "arch/apic/irq.h"
#include "arch/bootinfo/option.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/mem/mapping.h"
#include "arch/mem/paging.h"
#include "arch/time/clock.h"
#include "lib/errno.h"
#include "lib/log.h"

#define ICR_PENDING	    BIT(12)
#define ICR_ASSERT	    BIT(14)
#define ICR_SELF	    (1u << 18)
#define ICR_NMI		    (4u << 8)
#define ICR_INIT	    (5u << 8)
#define ICR_STARTUP	    (6u << 8)
#define APIC_BASE_ADDRESS   PTE_ADDRESS
#define MAX_IN_SERVICE	    256

volatile u32 *lapic_registers;
static hpa_t xapic_address;
static bool x2apic;

u32 lapic_reg_read(enum lapic_register reg)
{
	return x2apic ? (u32)rdmsr(MSR_X2APIC(reg)) : lapic_registers[reg * 4];
}

void lapic_reg_write(enum lapic_register reg, u32 value)
{
	if (x2apic)
		wrmsr(MSR_X2APIC(reg), value);
	else
		lapic_registers[reg * 4] = value;
}

u32 lapic_id(void)
{
	u32 id = lapic_reg_read(LAPIC_ID);

	return x2apic ? id : id >> 24;
}

void lapic_eoi(void)
{
	lapic_reg_write(LAPIC_EOI, 0);
}

static __noinline void wait_until_idle(void)
{
	u64 end = clock_deadline_us(1000);

	while (lapic_registers[LAPIC_ICR * 4] & ICR_PENDING && !clock_expired(end))
		cpu_relax();
}

/* The xAPIC's two-part command register must be idle before it is written again. */
static __noinline void send_by_xapic(u32 destination, u32 command)
{
	u32 interrupted;

	if (unlikely(lapic_registers[LAPIC_ICR * 4] & ICR_PENDING))
		wait_until_idle();
	/* A shorthand needs no destination. */
	if (command & ICR_SELF) {
		lapic_registers[LAPIC_ICR * 4] = command;
		return;
	}
	/* A machine check's report may come between the two writes of another IPI: leave that its destination. */
	interrupted = lapic_registers[LAPIC_ICR_HIGH * 4];
	lapic_registers[LAPIC_ICR_HIGH * 4] = destination << 24;
	lapic_registers[LAPIC_ICR * 4] = command;
	lapic_registers[LAPIC_ICR_HIGH * 4] = interrupted;
}

static __always_inline void send(u32 destination, u32 command)
{
	if (x2apic)
		wrmsr(MSR_X2APIC(LAPIC_ICR), (u64)destination << 32 | command);
	else
		send_by_xapic(destination, command);
}

void lapic_self_ipi(u8 vector)
{
	send(0, ICR_SELF | ICR_ASSERT | vector);
}

bool lapic_reaches(u32 apic_id)
{
	return apic_id < (x2apic ? 0xffffffff : 0xff);
}

/* Intel SDM, "LFENCE", "x2APIC Register Address Space": the WRMSR may overtake earlier stores. */
static void send_to(u32 apic_id, u32 command)
{
	__asm__ volatile("mfence; lfence" : : : "memory");
	send(apic_id, command | ICR_ASSERT);
}

void lapic_send_init(u32 apic_id)
{
	send_to(apic_id, ICR_INIT);
}

void lapic_send_startup(u32 apic_id, hpa_t page)
{
	send_to(apic_id, ICR_STARTUP | (u8)(page / PAGE_SIZE));
}

void lapic_send_nmi(u32 apic_id)
{
	send_to(apic_id, ICR_NMI);
}

void lapic_send_fixed(u32 apic_id, u8 vector)
{
	send_to(apic_id, vector);
}

bool lapic_irr_pending(u8 vector)
{
	return lapic_reg_read(LAPIC_IRR + vector / 32u) & BIT(vector % 32);
}

static u32 x2apic_on;	/* 1: x2apic=on */
DEFINE_CHOICE(x2apic, "x2apic", "auto|on",
	      "the mode of the local APICs: as the firmware left it, but x2APIC where CPUs have APIC ids above 254;"
	      " or x2APIC wherever the processor has it (default auto)", x2apic_on);

/* Intel Virtualization Technology for Directed I/O, "DMA Remapping Reporting Structure" */
#define DMAR_X2APIC_OPT_OUT BIT(1)

struct dmar_table {
	struct acpi_header header;
	u8 address_width;
	u8 flags;
} __packed;

/* The firmware asks the operating system not to switch to x2APIC mode by itself. */
static bool opted_out(void)
{
	const struct dmar_table *dmar = (const struct dmar_table *)acpi_find("DMAR", 0);

	return dmar && dmar->header.length >= sizeof(*dmar) && (dmar->flags & DMAR_X2APIC_OPT_OUT);
}

/* In xAPIC mode 255 means all CPUs. */
static bool have_wide_ids(void)
{
	for (u32 i = 0; i < acpi_madt.cpus; i++)
		if (acpi_madt.cpu[i] >= 0xff)
			return true;
	return false;
}

static bool wants_x2apic(void)
{
	if (x2apic_on || !have_wide_ids())
		return x2apic_on;
	if (!opted_out())
		return true;
	log_warn("local APIC: ACPI's DMAR forbids x2APIC mode, without which CPUs with APIC ids above 254 cannot be used;"
		 " x2apic=on ignores that");
	return false;
}

/*
 * Stay in the mode that the firmware has chosen, which knows of what else depends on it, such as interrupt remapping.
 * Back to xAPIC leads only through disabling the APIC. Never clear the enable bit: on some processors it cannot be set
 * again. SDM, "x2APIC State Transitions".
 */
static int enable(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	if (!(cpuid(1).edx & BIT(9))) {
		log_error("this processor has no local APIC, or the firmware has switched it off");
		return -ENODEV;
	}
	wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
	if (base & APIC_BASE_X2APIC || (cpu_features.x2apic && wants_x2apic())) {
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
		x2apic = true;
	} else if (!lapic_registers) {
		xapic_address = base & APIC_BASE_ADDRESS;
		lapic_registers = mmio_map(xapic_address, PAGE_SIZE);
	}
	return x2apic || lapic_registers ? 0 : -ENOMEM;
}

/*
 * The firmware may have what these events raise delivered to itself, as SMIs. Such an entry is the firmware's. INIT
 * resets it on the other CPUs: there it becomes what it is on the boot CPU. SDM, "Local Vector Table".
 */
static struct firmware_lvt {
	enum lapic_register reg;
	u8 least_last;	/* the highest entry's number in the version register of an APIC that has it */
	u32 entry;	/* the boot CPU's, of SMI mode; 0: it is not the firmware's */
} firmware_lvts[] = {
	{ LAPIC_LVT + LVT_PERFORMANCE, 4, 0 }, { LAPIC_LVT + LVT_THERMAL, 5, 0 }, { LAPIC_LVT_CMCI, 6, 0 },
};

static bool is_smi(u32 entry)
{
	return LVT_DELIVERY(entry) == LVT_DELIVERY(LVT_SMI);
}

/* Everything else stays masked until it is used. */
static void mask_all(void)
{
	unsigned last = lapic_reg_read(LAPIC_VERSION) >> 16 & 0xff;

	lapic_reg_write(LAPIC_LVT + LVT_TIMER, LVT_MASKED | IRQ_VECTOR_TIMER);
	for (enum lapic_lvt lint = LVT_LINT0; lint <= LVT_LINT1; lint++)
		if (!is_smi(lapic_reg_read(LAPIC_LVT + lint)))
			lapic_reg_write(LAPIC_LVT + lint, LVT_MASKED);
	for (unsigned i = 0; i < ARRAY_SIZE(firmware_lvts); i++)
		if (last >= firmware_lvts[i].least_last && !is_smi(lapic_reg_read(firmware_lvts[i].reg)))
			lapic_reg_write(firmware_lvts[i].reg, LVT_MASKED);
}

static void note_firmware_lvts(void)
{
	unsigned last = lapic_reg_read(LAPIC_VERSION) >> 16 & 0xff;

	for (unsigned i = 0; i < ARRAY_SIZE(firmware_lvts); i++) {
		struct firmware_lvt *lvt = &firmware_lvts[i];
		u32 entry = last >= lvt->least_last ? lapic_reg_read(lvt->reg) : 0;

		lvt->entry = is_smi(entry) ? entry & ~LVT_DELIVERY_STATUS : 0;
	}
}

/* After the APIC is enabled: before, it masks each entry that is written. */
static void restore_firmware_lvts(void)
{
	unsigned last = lapic_reg_read(LAPIC_VERSION) >> 16 & 0xff;

	for (unsigned i = 0; i < ARRAY_SIZE(firmware_lvts); i++)
		if (firmware_lvts[i].entry && last >= firmware_lvts[i].least_last)
			lapic_reg_write(firmware_lvts[i].reg, firmware_lvts[i].entry);
}

/* Where the MADT says that the NMI comes in; by default at LINT1, where a PC's ends. */
static void unmask_nmi(void)
{
	struct acpi_nmi_inputs inputs = acpi_madt_nmi(lapic_id());

	if (!inputs.nmi[0] && !inputs.nmi[1])
		inputs.nmi[1] = true;
	for (unsigned lint = 0; lint < ACPI_LINTS; lint++)
		if (inputs.nmi[lint] && !is_smi(lapic_reg_read(LAPIC_LVT + LVT_LINT0 + lint)))
			lapic_reg_write(LAPIC_LVT + LVT_LINT0 + lint,
					LVT_NMI | (inputs.active_low[lint] ? LVT_ACTIVE_LOW : 0));
}

/* End the interrupts that were in service before Lamina: they would block all lower priorities. */
static void clear_in_service(void)
{
	for (unsigned n = 0; n < MAX_IN_SERVICE; n++) {
		u32 any = 0;

		for (unsigned i = 0; i < 8; i++)
			any |= lapic_reg_read(LAPIC_ISR + i);
		if (!any)
			return;
		lapic_eoi();
	}
}

static void handle_error(void)
{
	static bool reported;

	lapic_reg_write(LAPIC_ESR, 0);	/* makes ESR hold the errors since the last write */
	if (!reported)
		log_warn("local APIC error, status 0x%x; more are not shown",
			 lapic_reg_read(LAPIC_ESR));
	reported = true;
}

static void set_up(void)
{
	mask_all();
	lapic_reg_write(LAPIC_TPR, 0);
	lapic_reg_write(LAPIC_SVR, SVR_ENABLED | IRQ_VECTOR_SPURIOUS);
	clear_in_service();
	lapic_reg_write(LAPIC_ESR, 0);
	lapic_reg_write(LAPIC_LVT + LVT_ERROR, IRQ_VECTOR_LAPIC_ERROR);
}

int lapic_init_secondary(void)
{
	u64 base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

	if (!x2apic && (base & (APIC_BASE_ADDRESS | APIC_BASE_X2APIC)) != xapic_address)
		return -EINVAL;
	if (wrmsr_safe(MSR_APIC_BASE, base) || (x2apic && wrmsr_safe(MSR_APIC_BASE, base | APIC_BASE_X2APIC)))
		return -EINVAL;
	set_up();
	restore_firmware_lvts();
	return 0;
}

int lapic_init(void)
{
	int err = enable();

	if (err)
		return err;
	irq_set_handler(IRQ_VECTOR_LAPIC_ERROR, handle_error);
	note_firmware_lvts();
	set_up();
	unmask_nmi();
	this_cpu()->apic_id = lapic_id();
	log_info("local APIC: id %u, %s, timer %s", lapic_id(), x2apic ? "x2APIC" : "xAPIC",
		 cpu_features.tsc_deadline ? "by TSC deadline" : "by count");
	return 0;
}
