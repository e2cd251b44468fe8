/* SPDX-License-Identifier: MIT */
/*
 * SVM switched on and off, a VM's bitmaps, and a vCPU from its creation over the reset to a CPU. AMD APM
 * vol. 2, "Enabling SVM", "SVM Intercept Exit Codes", "MSR Intercepts"; SDM, "Processor State After Reset".
 */
/* link: svm/vcpu.c svm/state.c svm/vm.c svm/enable.c lib/log.c tests/unit/fake_cpu.c */
#include <stdlib.h>

#include "svm_fixture.h"

#include "arch/cpu/percpu.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/mem/tdp.h"
#include "core/vm_alloc.h"

struct cpu_features cpu_features;
struct svm_features svm_features;
static struct percpu cpu;
static unsigned allocations, allocations_left, trees;
static struct svm_vm bitmaps;
static bool tdp_fails, vm_alloc_fails;

struct percpu *this_cpu(void) { return &cpu; }
struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf) { return (struct cpuid_regs){ .eax = 0x800f12 + leaf - 1 }; }

void *pages_alloc(unsigned order)
{
	if (!allocations_left)
		return NULL;
	allocations_left--;
	allocations++;
	return calloc(1, PAGE_SIZE << order);
}

/* The processor must not use them any more. */
void pages_free(void *pages, unsigned order)
{
	assert_non_null(pages);
	assert_false(*fake_msr(MSR_EFER) & EFER_SVME);
	assert_int_equal(*fake_msr(MSR_VM_HSAVE_PA), 0);
	allocations--;
	free(pages);
}

void *page_alloc(void) { return pages_alloc(0); }
void page_free(void *page) { pages_free(page, 0); }

void *vm_alloc(struct vm *v, size_t size)
{
	static struct svm_vm made;

	assert_int_equal(size, sizeof(made));
	made = (struct svm_vm){ 0 };
	return vm_alloc_fails ? NULL : &made;
}

int tdp_create(struct vm *v)
{
	trees += !tdp_fails;
	return tdp_fails ? -ENOMEM : 0;
}

void tdp_destroy(struct vm *v) { trees = 0; }

static int setup(void **state)
{
	static u8 iopm[PAGE_SIZE], msrpm[PAGE_SIZE];

	memset(&cpu_features, 0, sizeof(cpu_features));
	memset(&svm_features, 0, sizeof(svm_features));
	memset(&cpu, 0, sizeof(cpu));
	svm_fixture_reset(state);
	bitmaps = (struct svm_vm){ iopm, msrpm };
	vm.vendor = &bitmaps;
	allocations = trees = 0;
	allocations_left = 100;
	tdp_fails = vm_alloc_fails = false;
	*fake_msr(MSR_EFER) = 0xd01;
	*fake_msr(MSR_VM_HSAVE_PA) = 0;
	return 0;
}

/* --- a vCPU --- */

static void a_vcpu_is_created_and_destroyed(void **state)
{
	struct vcpu *created = svm_vcpu_create(&vm);

	assert_non_null(created);
	assert_int_equal(allocations, 2);
	assert_int_equal(to_svm(created)->vmcb_pa, virt_to_phys(to_svm(created)->vmcb));
	svm_vcpu_destroy(created);
	assert_int_equal(allocations, 0);
}

static void without_memory_there_is_no_vcpu(void **state)
{
	for (unsigned left = 0; left < 2; left++) {
		setup(state);
		allocations_left = left;
		assert_null(svm_vcpu_create(&vm));
		assert_int_equal(allocations, 0);
	}
}

/* Offsets and bits are those of the manual's table, "VMCB Control Area". */
static void what_exits_after_a_reset(void **state)
{
	svm_vcpu_reset(vcpu);
	/* CR4 write, CR8 read and write; CR0 while it has CD and NW, which the guest must find as it wrote them */
	assert_int_equal(vmcb_field(0x000, 4), 1 << 20 | 1 << 8 | 1 << 24 | 1 << 0 | 1 << 16);
	assert_int_equal(vmcb_field(0x004, 4), 0);
	assert_int_equal(vmcb_field(0x008, 4), 1 << 18 | 1 << 1 | 1 << 17);	/* #MC, #DB, #AC */
	assert_int_equal(vmcb_field(0x00c, 4), 1u << 0 | 1u << 1 | 1u << 2 | 1u << 3 | 1u << 5 | 1u << 15 | 1u << 18 |
			 1u << 22 | 1u << 24 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 31);
	assert_int_equal(vmcb_field(0x010, 4), 0x7f | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14);
	assert_int_equal(vmcb_field(0x014, 4), 0);
}

static void controls_after_a_reset(void **state)
{
	vm.tdp_root = 0x7654000;
	memset(&vmcb, 0x55, sizeof(vmcb));
	svm_features.flush_by_asid = true;
	svm_vcpu_reset(vcpu);
	assert_int_equal(vmcb_field(0x040, 8), virt_to_phys(bitmaps.iopm));
	assert_int_equal(vmcb_field(0x048, 8), virt_to_phys(bitmaps.msrpm));
	assert_int_equal(vmcb_field(0x050, 8), 0);		/* TSC offset */
	assert_int_equal(vmcb_field(0x058, 4), 1);		/* ASID 0 is the host's */
	assert_int_equal(vmcb_field(0x05c, 1), 1);		/* the whole TLB is flushed */
	assert_int_equal(vmcb_field(0x060, 8), 1 << 24);	/* V_INTR_MASKING */
	assert_int_equal(vmcb_field(0x090, 8), 1);		/* nested paging */
	assert_int_equal(vmcb_field(0x0a8, 8), 0);		/* no event */
	assert_int_equal(vmcb_field(0x0b0, 8), 0x7654000);
	assert_int_equal(vmcb_field(0x0c0, 4), 0);		/* nothing is clean */
}

static void segment_is(unsigned offset, u16 selector, u16 attributes, u64 base)
{
	assert_int_equal(vmcb_field(offset, 2), selector);
	assert_int_equal(vmcb_field(offset + 2, 2), attributes);
	assert_int_equal(vmcb_field(offset + 4, 4), 0xffff);
	assert_int_equal(vmcb_field(offset + 8, 8), base);
}

static void state_after_a_reset(void **state)
{
	static const unsigned data[] = { 0x400, 0x420, 0x430, 0x440, 0x450 };	/* ES, SS, DS, FS, GS */

	memset(&vmcb, 0x55, sizeof(vmcb));
	memset(vcpu->regs, 0x55, sizeof(vcpu->regs));
	vcpu->regs_available = vcpu->regs_dirty = ~0u;
	svm.cr0 = svm.cr4 = ~0ull;
	svm_vcpu_reset(vcpu);
	segment_is(0x410, 0xf000, 0x09b, 0xffff0000);
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		segment_is(data[i], 0, 0x093, 0);
	segment_is(0x470, 0, 0x082, 0);			/* LDTR */
	segment_is(0x490, 0, 0x08b, 0);			/* TR */
	segment_is(0x460, 0, 0, 0);			/* GDTR */
	segment_is(0x480, 0, 0, 0);			/* IDTR */
	assert_int_equal(vmcb_field(0x578, 8), 0xfff0);
	assert_int_equal(vmcb_field(0x570, 8), 2);
	assert_int_equal(svm_control_get(vcpu, CTL_CR0), 0x60000010);
	assert_int_equal(svm_control_get(vcpu, CTL_CR2), 0);
	assert_int_equal(svm_control_get(vcpu, CTL_CR3), 0);
	assert_int_equal(svm_control_get(vcpu, CTL_CR4), 0);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), 0);
	assert_int_equal(svm_control_get(vcpu, CTL_DR6), 0xffff0ff0);
	assert_int_equal(svm_control_get(vcpu, CTL_DR7), 0x400);
	assert_int_equal(vmcb_field(0x4d0, 8), 1 << 12);
	assert_int_equal(vmcb_field(0x668, 8), 0x0007040600070406);
	for (unsigned reg = 0; reg < REG_COUNT; reg++)
		assert_int_equal(vcpu->regs[reg], reg == REG_RDX ? 0x800f12 : 0);	/* EDX: the signature */
	assert_int_equal(vcpu->regs_available, 0);
	assert_int_equal(vcpu->regs_dirty, 0);
}

static void nothing_of_an_nmi_survives_a_reset(void **state)
{
	svm.nmi_masked = svm.iret_pending = svm.stepping = true;
	svm_vcpu_reset(vcpu);
	assert_false(svm.nmi_masked);
	assert_false(svm.iret_pending);
	assert_false(svm.stepping);
}

/* --- on and off a CPU --- */

static void fill_live_registers(void)
{
	for (unsigned n = 0; n < 4; n++)
		fake_cpu.dr[n] = 0x1000 + n;
	*fake_msr(0xc0000103) = 5;
}

static void live_registers_are_clear(u64 tsc_aux)
{
	for (unsigned n = 0; n < 4; n++)
		assert_int_equal(fake_cpu.dr[n], 0);
	assert_int_equal(*fake_msr(0xc0000103), tsc_aux);
}

static void a_loaded_vcpu_finds_nothing_of_another(void **state)
{
	cpu_features.rdtscp = true;
	cpu.host_vmcb_pa = 0x123000;
	vmcb.save.cr2 = 0xabc000;
	fill_live_registers();
	svm_vcpu_load(vcpu);
	live_registers_are_clear(0);
	assert_int_equal(vmcb.control.clean, 0);
	assert_int_equal(vmcb.control.tlb_control, 1);
	assert_int_equal(svm.host_vmcb_pa, 0x123000);
	assert_int_equal(fake_cpu.cr[2], 0xabc000);
}

static void a_vcpu_leaves_nothing(void **state)
{
	cpu_features.rdtscp = true;
	fill_live_registers();
	svm_vcpu_put(vcpu);
	live_registers_are_clear(0);
}

static void tsc_aux_is_left_alone_where_it_does_not_exist(void **state)
{
	fill_live_registers();
	svm_vcpu_put(vcpu);
	live_registers_are_clear(5);
	fill_live_registers();
	svm_vcpu_reset(vcpu);
	live_registers_are_clear(5);
}

/* --- a VM --- */

static void a_vm_intercepts_everything_at_first(void **state)
{
	struct svm_vm *maps;

	assert_int_equal(svm_vm_create(&vm), 0);
	maps = vm.vendor;
	assert_int_equal(trees, 1);
	for (unsigned i = 0; i < 4 * PAGE_SIZE; i++)	/* 65,536 ports and 3 more, in pages */
		assert_int_equal(maps->iopm[i], 0xff);
	for (unsigned i = 0; i < 2 * PAGE_SIZE; i++)
		assert_int_equal(maps->msrpm[i], 0xff);
	svm_vm_destroy(&vm);
	assert_int_equal(allocations, 0);
	assert_int_equal(trees, 0);
	assert_null(vm.vendor);
}

static void a_vm_without_memory_is_taken_back(void **state)
{
	for (unsigned left = 0; left < 2; left++) {
		setup(state);
		allocations_left = left;
		assert_int_equal(svm_vm_create(&vm), -ENOMEM);
		svm_vm_destroy(&vm);
		assert_int_equal(allocations, 0);
		assert_int_equal(trees, 0);
	}
	setup(state);
	tdp_fails = true;
	assert_int_equal(svm_vm_create(&vm), -ENOMEM);
	svm_vm_destroy(&vm);
	assert_int_equal(allocations, 0);

	setup(state);
	vm_alloc_fails = true;
	vm.vendor = NULL;
	assert_int_equal(svm_vm_create(&vm), -ENOMEM);
	assert_int_equal(allocations, 0);
	svm_vm_destroy(&vm);
}

/* "MSR Intercepts": 2 KiB for each range, two bits for an MSR, the read's below the write's. */
static void msr_bits_are_where_the_manual_says(void **state)
{
	static const struct {
		u32 msr;
		unsigned byte, bit;
	} cases[] = {
		{ 0, 0, 0 }, { 3, 0, 6 }, { 4, 1, 0 }, { 0x1fff, 0x7ff, 6 },
		{ 0xc0000000, 0x800, 0 }, { 0xc0000101, 0x840, 2 }, { 0xc0001fff, 0xfff, 6 },
		{ 0xc0010000, 0x1000, 0 }, { 0xc0010117, 0x1045, 6 }, { 0xc0011fff, 0x17ff, 6 },
	};
	u8 map[2 * PAGE_SIZE];

	bitmaps.msrpm = map;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned access = 0; access < 4; access++) {
			memset(map, 0xff, sizeof(map));
			svm_vm_msr_passthrough(&vm, cases[i].msr, access & 1, access & 2);
			for (unsigned byte = 0; byte < sizeof(map); byte++)
				assert_int_equal(map[byte], byte == cases[i].byte ? (u8)~(access << cases[i].bit) : 0xff);
		}
	}
}

static void msrs_without_a_bit_always_exit(void **state)
{
	static const u32 msrs[] = { 0x2000, 0xbfffffff, 0xc0002000, 0xc000ffff, 0xc0012000, 0xffffffff };
	u8 map[2 * PAGE_SIZE];

	bitmaps.msrpm = map;
	memset(map, 0xff, sizeof(map));
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		svm_vm_msr_passthrough(&vm, msrs[i], true, true);
	for (unsigned byte = 0; byte < sizeof(map); byte++)
		assert_int_equal(map[byte], 0xff);
}

/* --- SVM itself --- */

static void svm_is_switched_on(void **state)
{
	assert_int_equal(svm_cpu_enable(&cpu), 0);
	assert_int_equal(*fake_msr(MSR_EFER), 0xd01 | 1 << 12);
	assert_int_equal(cpu.vendor_page_pa, virt_to_phys(cpu.vendor_page));
	assert_int_equal(*fake_msr(MSR_VM_HSAVE_PA), cpu.vendor_page_pa);
	assert_int_equal(cpu.host_vmcb_pa, virt_to_phys(cpu.host_vmcb));
	assert_ptr_not_equal(cpu.host_vmcb, cpu.vendor_page);
	assert_int_equal(fake_cpu.vmsave_pa, cpu.host_vmcb_pa);
	assert_int_equal(allocations, 2);

	svm_cpu_disable(&cpu);
	assert_int_equal(*fake_msr(MSR_EFER), 0xd01);
	assert_int_equal(*fake_msr(MSR_VM_HSAVE_PA), 0);
	assert_int_equal(allocations, 0);
	assert_null(cpu.vendor_page);
	assert_null(cpu.host_vmcb);
}

/* VM_CR.SVMDIS: the write raises #GP; some below us ignore it instead. */
static void a_processor_that_refuses_is_an_error(void **state)
{
	for (unsigned ignored = 0; ignored < 2; ignored++) {
		setup(state);
		if (ignored)
			fake_msr_writable(MSR_EFER, 0xd01);
		else
			fake_msr_refuse(MSR_EFER);
		assert_int_equal(svm_cpu_enable(&cpu), -ENODEV);
		assert_int_equal(allocations, 0);
		assert_int_equal(*fake_msr(MSR_VM_HSAVE_PA), 0);
		assert_string_equal(fake_cpu.diary, "");
	}
}

static void without_memory_svm_stays_off(void **state)
{
	for (unsigned left = 0; left < 2; left++) {
		setup(state);
		allocations_left = left;
		assert_int_equal(svm_cpu_enable(&cpu), -ENOMEM);
		assert_int_equal(allocations, 0);
		assert_int_equal(*fake_msr(MSR_EFER), 0xd01);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vcpu_is_created_and_destroyed),
		TEST(without_memory_there_is_no_vcpu),
		TEST(what_exits_after_a_reset),
		TEST(controls_after_a_reset),
		TEST(state_after_a_reset),
		TEST(nothing_of_an_nmi_survives_a_reset),
		TEST(a_loaded_vcpu_finds_nothing_of_another),
		TEST(a_vcpu_leaves_nothing),
		TEST(tsc_aux_is_left_alone_where_it_does_not_exist),
		TEST(a_vm_intercepts_everything_at_first),
		TEST(a_vm_without_memory_is_taken_back),
		TEST(msr_bits_are_where_the_manual_says),
		TEST(msrs_without_a_bit_always_exit),
		TEST(svm_is_switched_on),
		TEST(a_processor_that_refuses_is_an_error),
		TEST(without_memory_svm_stays_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
