/* SPDX-License-Identifier: MIT */
/* Interrupt messages of PCI functions. */
#include "dev/irq/msi.h"

#include "core/irqchip.h"
#include "core/vm_log.h"
#include "dev/irq/apic_bus.h"
#include "dev/irq/irqchip.h"

#define ADDRESS_FIXED	 0xfee00000u	/* bits 31:20 */
#define ADDRESS_REDIRECT BIT(3)		/* one of the addressed, the one with the lowest priority */
#define ADDRESS_LOGICAL	 BIT(2)

#define DATA_ASSERT	 BIT(14)
#define DATA_LEVEL	 BIT(15)

/*
 * Bits 11:5 of the address are bits 14:8 of a physical destination where ids are long: Linux,
 * Documentation/virt/kvm/x86/cpuid.rst, KVM_FEATURE_MSI_EXT_DEST_ID; the same as in an I/O APIC's entry.
 */
static struct apic_message message_of(const struct vm *vm, u32 address, u32 data)
{
	bool logical = address & ADDRESS_LOGICAL, long_ids = vm_vcpu_count(vm) > IRQCHIP_SHORT_IDS;
	u8 delivery = data >> 8 & 7;

	if (delivery == APIC_FIXED && logical && (address & ADDRESS_REDIRECT))
		delivery = APIC_LOWEST;
	return (struct apic_message){
		.destination = (address >> 12 & 0xff) | (long_ids ? (address >> 5 & 0x7f) << 8 : 0),
		.logical = logical,
		.wide = long_ids && !logical,
		.delivery = delivery,
		.vector = (u8)data,
		.level = (data & DATA_LEVEL) && delivery <= APIC_LOWEST,
	};
}

void msi_send(struct vm *vm, u64 address, u32 data)
{
	struct apic_message message;

	if ((address & ~0xfffffull) != ADDRESS_FIXED) {
		if (vm_once(vm, ONCE_OTHER, address))
			vm_warn(vm, "an interrupt message to 0x%llx, where no local APIC is, is dropped",
				(unsigned long long)address);
		return;
	}
	message = message_of(vm, (u32)address, data);
	/* The end of a level; and start-up IPIs, which no device can send. */
	if ((message.level && !(data & DATA_ASSERT)) || message.delivery == APIC_STARTUP)
		return;
	apic_bus_send(vm, &message);
}

void msi_prepared(struct vm *vm, u32 data)
{
	if ((data >> 8 & 7) == APIC_NMI)
		irqchip_expect_nmis(vm);
}
