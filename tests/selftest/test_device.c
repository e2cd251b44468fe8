/* SPDX-License-Identifier: MIT */
/*
 * A device that exists in this image only: it takes a page of the guest's RAM out of the nested page
 * tables until the next access to it by the guest, or by the processor delivering an event. All RAM of
 * Lamina's guests is mapped from the start, so nothing else interrupts the delivery of an event by an exit.
 *
 *	write, 32 bits	the page's address, with what happens at the fault in the low bits
 *	read, 32 bits	how many such faults there have been
 */
#include "arch/fault/machine_check.h"
#include "arch/cpu/x86.h"
#include "arch/mem/pool.h"
#include "core/device.h"
#include "core/emulate/emulate.h"
#include "core/mem/tdp.h"
#include "dev/platform.h"
#include "svm/svm.h"
#include "core/irqchip.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "vmx/vmx.h"

#define TEST_PORT     0x5e0
#define AT_FAULT_NMI  BIT(0)
#define AT_FAULT_IRQ  BIT(1)	/* a pulse on ISA interrupt 5 */
#define AT_FAULT_STOP BIT(2)
#define AT_FAULT_LINE BIT(4)	/* the same for an 8259: until the device is read */
#define AT_FAULT_MC   BIT(3)	/* a machine check reports the page as damaged */
#define HOLES	      8
#define TABLE_BITS    7ull	/* of either vendor: all rights */

static struct hole {
	u64 *entry;	/* NULL: free */
	u64 mapped;	/* what it holds while the page is present */
	gpa_t gpa;
	u32 command;
} holes[HOLES];
static u32 faults;

int __real_platform_create(struct vm *vm, u64 now);
int __wrap_platform_create(struct vm *vm, u64 now);
void __real_exit_tdp_fault(struct vcpu *vcpu, const struct tdp_fault *fault);
void __wrap_exit_tdp_fault(struct vcpu *vcpu, const struct tdp_fault *fault);

static unsigned shift_of(int level)
{
	return PAGE_SHIFT + 9 * (unsigned)level;
}

/* A large page becomes a table of pages of the next size. */
static u64 *split(u64 *entry, int level)
{
	u64 *table = page_alloc();
	u64 page = level == TDP_2M ? *entry & ~TDP_LARGE : *entry;

	if (!table)
		return NULL;
	for (u64 i = 0; i < 512; i++)
		table[i] = page + (i << shift_of(level - 1));
	*entry = virt_to_phys(table) | TABLE_BITS;
	return table;
}

/* The entry of the 4 KiB page; NULL where there is none. */
static u64 *find_entry(const struct vm *vm, gpa_t gpa)
{
	u64 *table = phys_to_virt(vm->tdp_root);

	for (int level = TDP_LEVELS - 1;; level--) {
		u64 *entry = &table[gpa >> shift_of(level) & 511];

		if (!*entry || !level)
			return *entry ? entry : NULL;
		table = *entry & TDP_LARGE ? split(entry, level) :
			phys_to_virt(*entry & 0x000ffffffffff000ull);
		if (!table)
			return NULL;
	}
}

static void flush(struct vcpu *vcpu)
{
	if (vcpu->ops->name == vmx_ops.name)
		ept_flush(vcpu->vm);
	else
		svm_flush_tlb(to_svm(vcpu));
}

static void make_hole(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	u64 *entry = find_entry(vcpu->vm, value & PAGE_MASK);

	for (unsigned i = 0; entry && i < HOLES; i++) {
		if (holes[i].entry)
			continue;
		holes[i] = (struct hole){ entry, *entry, value & PAGE_MASK, (u32)(value & ~PAGE_MASK) };
		*entry = 0;
		flush(vcpu);
		return;
	}
	vm_error(vcpu->vm, "the test device has no hole for 0x%llx", (unsigned long long)value);
}

static u64 count_faults(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	irq_line_set(vcpu->vm, 5, false);
	return faults;
}

int __wrap_platform_create(struct vm *vm, u64 now)
{
	const struct io_region region = {
		.name = "test device", .base = TEST_PORT, .size = 4, .read = count_faults, .write = make_hole,
	};
	int error = __real_platform_create(vm, now);

	faults = 0;
	for (unsigned i = 0; i < HOLES; i++)
		holes[i].entry = NULL;
	return error ? error : pio_register(vm, &region);
}

/* --- a machine check in a guest, which no emulator raises: fake contents of the banks --- */

enum machine_check_verdict __real_machine_check_in_guest(struct machine_check *mc,
							 struct machine_check_bank *lost);
enum machine_check_verdict __wrap_machine_check_in_guest(struct machine_check *mc,
							 struct machine_check_bank *lost);

static hpa_t damaged;	/* 0: a real one */

enum machine_check_verdict __wrap_machine_check_in_guest(struct machine_check *mc,
							 struct machine_check_bank *lost)
{
	if (!damaged)
		return __real_machine_check_in_guest(mc, lost);
	mc->mcg_status = MCG_STATUS_MCIP | MCG_STATUS_RIPV | MCG_STATUS_EIPV;
	*lost = (struct machine_check_bank){
		.status = MCI_VALID | MCI_UNCORRECTED | MCI_ENABLED | MCI_MISC_VALID | MCI_ADDR_VALID |
			  MCI_SIGNALED | MCI_ACTION_REQUIRED | 0x134,
		.address = damaged,
		.misc = 2 << 6 | 6,	/* a physical address, 64 bytes */
	};
	return MACHINE_CHECK_TELL_VM;
}

static void happen(struct vcpu *vcpu, u32 command, hpa_t address)
{
	if (command & AT_FAULT_MC) {
		damaged = address;
		exit_machine_check(vcpu, true);
		damaged = 0;
	}
	if (command & AT_FAULT_NMI)
		event_queue_nmi(vcpu);
	if (command & (AT_FAULT_IRQ | AT_FAULT_LINE))
		irq_line_set(vcpu->vm, 5, true);
	if (command & AT_FAULT_IRQ)
		irq_line_set(vcpu->vm, 5, false);
	if (command & AT_FAULT_STOP)
		vcpu_request(vcpu, REQ_STOP);
}

void __wrap_exit_tdp_fault(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	for (unsigned i = 0; i < HOLES; i++) {
		struct hole *hole = &holes[i];

		if (!hole->entry || hole->gpa != (fault->gpa & PAGE_MASK))
			continue;
		*hole->entry = hole->mapped;
		hole->entry = NULL;
		faults++;
		happen(vcpu, hole->command, (hole->mapped & 0x000ffffffffff000ull) | (fault->gpa & ~PAGE_MASK));
		return;
	}
	__real_exit_tdp_fault(vcpu, fault);
}
