/* SPDX-License-Identifier: MIT */
/*
 * A device that exists in this image only: it takes a page of the guest's RAM out of the nested page
 * tables until the next access to it by the guest, or by the processor delivering an event. All RAM of
 * Lamina's guests is mapped from the start, so nothing else interrupts the delivery of an event by an exit.
 * It also forbids writes to a page until the next one, or has it show the memory of another.
 *
 *	write, 32 bits	the page's address, with what happens at the fault, or else, in the low bits
 *	read, 32 bits	how many such faults there have been
 */
#include "arch/fault/machine_check.h"
#include "arch/fault/panic.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "core/device.h"
#include "core/emulate/emulate.h"
#include "core/mem/tdp_change.h"
#include "dev/platform.h"
#include "core/irqchip.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define TEST_PORT     0x5e0
#define AT_FAULT_NMI  BIT(0)
#define AT_FAULT_IRQ  BIT(1)	/* a pulse on ISA interrupt 5 */
#define AT_FAULT_STOP BIT(2)
#define AT_FAULT_LINE BIT(4)	/* the same for an 8259: until the device is read */
#define AT_FAULT_MC   BIT(3)	/* a machine check reports the page as damaged */
#define PROTECT	      BIT(5)	/* it can still be read */
#define SHOW_1	      BIT(6)	/* no hole: it shows the next page */
#define SHOW_2	      BIT(7)	/* ... the one after that */
#define HOLES	      8

/* One CPU at a time makes them; any fills them. */
static struct hole {
	hpa_t mapped;	/* the page, while it is not there; 0: free */
	gpa_t gpa;
	u32 command;
} holes[HOLES];
static u32 faults;

int __real_platform_create(struct vm *vm, u64 now);
int __wrap_platform_create(struct vm *vm, u64 now);
void __real_exit_tdp_fault(struct vcpu *vcpu, const struct tdp_fault *fault);
void __wrap_exit_tdp_fault(struct vcpu *vcpu, const struct tdp_fault *fault);

static int take_away(struct vm *vm, const struct hole *hole)
{
	return hole->command & PROTECT ? tdp_protect(vm, hole->gpa, PAGE_SIZE, false) :
	       tdp_unmap(vm, hole->gpa, PAGE_SIZE);
}

static void change(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	struct hole hole = { .gpa = value & PAGE_MASK, .command = (u32)(value & ~PAGE_MASK) };
	gpa_t shown = hole.gpa + (hole.command & SHOW_1 ? 1 : hole.command & SHOW_2 ? 2 : 0) * PAGE_SIZE;

	BUG_ON(tdp_translate(vcpu->vm, shown, &hole.mapped));
	if (shown != hole.gpa) {
		BUG_ON(tdp_remap(vcpu->vm, hole.gpa, hole.mapped, PAGE_SIZE, true));
		return;
	}
	for (unsigned i = 0; i < HOLES; i++) {
		if (holes[i].mapped)
			continue;
		holes[i] = hole;
		BUG_ON(take_away(vcpu->vm, &hole));
		return;
	}
	vm_error(vcpu->vm, "the test device has no hole for 0x%llx", (unsigned long long)value);
}

static u64 count_faults(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	vm_lock(vcpu->vm);
	irq_line_set(vcpu->vm, 5, false);
	vm_unlock(vcpu->vm);
	return faults;
}

int __wrap_platform_create(struct vm *vm, u64 now)
{
	const struct io_region region = {
		.name = "test device", .base = TEST_PORT, .size = 4, .read = count_faults, .write = change,
		.is_private = true,	/* without the VM lock, as changes of the tables have to be */
	};
	int error = __real_platform_create(vm, now);

	faults = 0;
	for (unsigned i = 0; i < HOLES; i++)
		holes[i].mapped = 0;
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

		hpa_t hpa = hole->mapped;

		if (!hpa || hole->gpa != (fault->gpa & PAGE_MASK))
			continue;
		faults++;
		hole->mapped = 0;
		BUG_ON(tdp_remap(vcpu->vm, hole->gpa, hpa, PAGE_SIZE, true));
		happen(vcpu, hole->command, hpa | (fault->gpa & ~PAGE_MASK));
		return;
	}
	__real_exit_tdp_fault(vcpu, fault);
}
