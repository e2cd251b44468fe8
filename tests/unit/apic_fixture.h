/* SPDX-License-Identifier: MIT */
/* A fake VM with 8259s, IOAPIC and local APICs, and short functions for a guest's accesses to them. */
#pragma once

#include "dev/irq/irqchip.h"
#include "fake_vm.h"

#include "dev/irq/vioapic.h"
#include "dev/irq/vlapic.h"
#include "dev/irq/vpic.h"
#include "dev/platform.h"
#include "lib/errno.h"

#define X2APIC(reg)	 (0x800 + (reg))

/* IA32_APIC_BASE by mode. */
#define BASE_OFF    0xfee00000ull
#define BASE_XAPIC  0xfee00800ull
#define BASE_X2APIC 0xfee00c00ull
#define BASE_BSP    0x100ull

/* Redirection entries and LVT entries. */
#define ENTRY_LEVEL  0x8000
#define ENTRY_MASKED 0x10000

static struct platform fixture_platform;

static inline struct vm *apic_vm(u32 vcpus)
{
	struct vm *vm = fake_create(MIB(2));

	vm->vcpu_count = vcpus;
	vm_set_platform(vm, &fixture_platform);
	fixture_platform.vpic = vpic_create(vm);
	assert_non_null(fixture_platform.vpic);
	assert_int_equal(apic_create(vm), 0);
	assert_non_null(vm->irqchip);
	return vm;
}

static inline int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

static inline struct vcpu *cpu(struct vm *vm, u32 index)
{
	return vm_vcpu(vm, index);
}

/* xAPIC registers, by their number (offset / 16). */
static inline u32 apic_get(struct vm *vm, u32 index, unsigned reg)
{
	return (u32)mmio_read(cpu(vm, index), LAPIC_DEFAULT_BASE + reg * 16, 4);
}

static inline void apic_set(struct vm *vm, u32 index, unsigned reg, u32 value)
{
	mmio_write(cpu(vm, index), LAPIC_DEFAULT_BASE + reg * 16, 4, value);
}

static inline int msr_get(struct vm *vm, u32 index, u32 msr, u64 *value)
{
	void *vlapic = cpu(vm, index)->vlapic;

	if (msr != MSR_APIC_BASE)
		return vm->irqchip->msr_read(vlapic, msr, value);
	*value = *vm->irqchip->apic_base(vlapic);
	return 0;
}

static inline int msr_set(struct vm *vm, u32 index, u32 msr, u64 value)
{
	return vm->irqchip->msr_write(cpu(vm, index)->vlapic, msr, value);
}

static inline u64 msr_value(struct vm *vm, u32 index, u32 msr)
{
	u64 value = 0xdeadbeefdeadbeef;

	assert_int_equal(msr_get(vm, index, msr, &value), 0);
	return value;
}

static inline int pending(struct vm *vm, u32 index)
{
	return vm->irqchip->pending(vcpu_vlapic(cpu(vm, index)));
}

static inline int acknowledge(struct vm *vm, u32 index)
{
	bool more;

	return vm->irqchip->acknowledge(vcpu_vlapic(cpu(vm, index)), &more);
}

static inline void end_interrupt(struct vm *vm, u32 index)
{
	apic_set(vm, index, LAPIC_EOI, 0);
}

/* Is the vector's bit set in IRR, ISR or TMR? */
static inline bool apic_bit(struct vm *vm, u32 index, unsigned set, u8 vector)
{
	return apic_get(vm, index, set + vector / 32) >> (vector % 32) & 1;
}

/* Enable it by software, with spurious vector 0xff, as the boot processor's is from the start. */
static inline void apic_enable(struct vm *vm, u32 index)
{
	apic_set(vm, index, LAPIC_SVR, 0x1ff);
}

/* An IPI from the vCPU to itself by shorthand, fixed delivery. */
static inline void self_ipi(struct vm *vm, u32 index, u8 vector)
{
	apic_set(vm, index, LAPIC_ICR, 0x40000 | vector);
}

/* IOAPIC registers. */
static inline u32 vioapic_get(struct vm *vm, u8 reg)
{
	mmio_write(cpu(vm, 0), IOAPIC_BASE, 4, reg);
	return (u32)mmio_read(cpu(vm, 0), IOAPIC_BASE + 0x10, 4);
}

static inline void vioapic_set(struct vm *vm, u8 reg, u32 value)
{
	mmio_write(cpu(vm, 0), IOAPIC_BASE, 4, reg);
	mmio_write(cpu(vm, 0), IOAPIC_BASE + 0x10, 4, value);
}

static inline u64 entry_get(struct vm *vm, unsigned pin)
{
	return (u64)vioapic_get(vm, 0x11 + 2 * pin) << 32 | vioapic_get(vm, 0x10 + 2 * pin);
}

/* As guests do it: the destination first, so that nothing is sent to the old one. */
static inline void entry_set(struct vm *vm, unsigned pin, u32 low, u8 destination)
{
	vioapic_set(vm, 0x10 + 2 * pin, ENTRY_MASKED);
	vioapic_set(vm, 0x11 + 2 * pin, (u32)destination << 24);
	vioapic_set(vm, 0x10 + 2 * pin, low);
}

static inline void line(struct vm *vm, unsigned irq, bool level)
{
	vm->irqchip->set_line(vm, irq, level);
}
