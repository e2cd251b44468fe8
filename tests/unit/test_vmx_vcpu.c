/* SPDX-License-Identifier: MIT */
/*
 * VMX switched on and off, a VM's MSR bitmap and EPT, and a vCPU's VMCS from its creation over the reset
 * to a CPU. Fields are named by their encodings: Intel SDM, "Field Encoding in VMCS". "VMX-Fixed Bits in
 * CR0", "Organization of VMCS Data", "Processor State After Reset".
 */
/* link: vmx/vcpu.c vmx/state.c vmx/events.c vmx/vm.c vmx/ept.c vmx/enable.c vmx/vmcs.c */
/* link: lib/log.c tests/unit/fake_vmcs.c tests/unit/fake_cpu.c */
/* cflags: -fno-pie -no-pie */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/gdt.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/fault/trap.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "core/emulate/emulate.h"
#include "core/mem/tdp.h"
#include "fake_cpu.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/vmx.h"

EXTABLE_BEGINS;

struct vmx_caps vmx_caps;
struct cpu_features cpu_features;
const u8 vmx_exit_point[16];
static struct percpu cpu;
static struct vm vm;
static struct vcpu_vmx vmx;
static struct vcpu *const vcpu = &vmx.vcpu;
static u8 vmcs_page[PAGE_SIZE], bitmap[PAGE_SIZE];
static struct vmx_msr_entry lists[2];
static unsigned allocations, allocations_left, trees;
static bool tdp_fails, guest_has_rdtscp;
static u32 guest_leaf_7_ebx, guest_leaf_d_eax;
static struct tdp_format mapped_format;
static jmp_buf panicked;
static u64 vmx_stored_rip;
static char panic_words[64];

/* --- the rest of Lamina --- */

struct percpu *this_cpu(void) { return &cpu; }
struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf) { return (struct cpuid_regs){ .eax = 0x506e3 + leaf - 1 }; }
u64 gdt_base(const struct percpu *c) { return 0xffff000000001000; }
u64 tss_base(const struct percpu *c) { return 0xffff000000002000; }
u64 idt_base(void) { return 0xffff000000003000; }
u64 control_cr4_allowed(const struct vcpu *v) { return 0x3fffff; }
void emulate_advance(struct vcpu *v, unsigned length) { fail(); }
void event_raise_debug(struct vcpu *v, u64 bits) { fail(); }
bool cpuid_has(const struct vcpu *v, enum guest_feature feature) { return feature == FEATURE_RDTSCP && guest_has_rdtscp; }

struct cpuid_regs cpuid_guest(struct vcpu *v, u32 leaf, u32 subleaf)
{
	if (leaf == 7 && subleaf == 0)
		return (struct cpuid_regs){ .ebx = guest_leaf_7_ebx };
	assert_true(leaf == 0xd && subleaf == 1);
	return (struct cpuid_regs){ .eax = guest_leaf_d_eax };
}

void panic(const char *format, ...)
{
	strncpy(panic_words, format, sizeof(panic_words) - 1);
	longjmp(panicked, 1);
}

void *page_alloc(void)
{
	if (!allocations_left)
		return NULL;
	allocations_left--;
	allocations++;
	return calloc(1, PAGE_SIZE);
}

void page_free(void *page)
{
	assert_non_null(page);
	allocations--;
	free(page);
}

int tdp_create(struct vm *v)
{
	trees += !tdp_fails;
	return tdp_fails ? -ENOMEM : 0;
}

void tdp_destroy(struct vm *v) { trees = 0; }

int tdp_map(struct vm *v, const struct tdp_format *format, gpa_t gpa, hpa_t hpa, u64 size)
{
	assert_true(gpa == 0x1000 && hpa == 0x2000 && size == 0x3000);
	mapped_format = *format;
	return -ENOMEM;
}

/* vmx/run.c's, which stores what the next entry needs. */
void vmx_store_dirty_regs(struct vcpu *v)
{
	vmx_stored_rip = v->regs_dirty & BIT(REG_RIP) ? v->regs[REG_RIP] : 0;
	v->regs_dirty = 0;
}

#define PANICS(statement)						\
	do {								\
		if (!setjmp(panicked)) {				\
			statement;					\
			fail_msg("no panic");				\
		}							\
	} while (0)

static int setup(void **state)
{
	fake_cpu_reset();
	fake_vmcs_clear();
	memset(fake_vmcs, 0x5a, sizeof(fake_vmcs));
	memset(&vmx, 0, sizeof(vmx));
	memset(&vm, 0, sizeof(vm));
	memset(&cpu, 0, sizeof(cpu));
	vmx.vmcs = vmcs_page;
	vmx.efer_lists = lists;
	vcpu->vm = &vm;
	vm.vendor = bitmap;
	vm.tdp_root = 0x7654000;
	vm.space.root = 0x9876000;
	vmx_caps = (struct vmx_caps){
		.revision = 0x4e5,
		.pin = 0x7f, .primary = 0xb5186dfa, .secondary = 0x1010aa, .exit = 0x3fffff, .entry = 0xffff,
		.ept_vpid = EPT_INVEPT_SINGLE | EPT_INVVPID_SINGLE,
		.cr0_fixed0 = CR0_PG | CR0_NE | CR0_PE, .cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = CR4_VMXE, .cr4_fixed1 = 0x3727ff,
	};
	cpu_features = (struct cpu_features){ .rdtscp = true };
	allocations = trees = 0;
	allocations_left = 100;
	tdp_fails = false;
	guest_has_rdtscp = true;
	guest_leaf_7_ebx = BIT(10);
	guest_leaf_d_eax = BIT(3);
	*fake_msr(MSR_PAT) = 0x0007010600070106;
	*fake_msr(MSR_EFER) = 0xd00;
	for (unsigned i = 0; i < LIVE_MSRS; i++)
		*fake_msr(vmx_live_msrs[i]) = 0x9900 + i;
	*fake_msr(MSR_FEATURE_CONTROL) = 5;
	return 0;
}

static void field_is(u32 encoding, u64 value)
{
	if (!fake_vmcs_written[encoding] || fake_vmcs[encoding] != value)
		fail_msg("VMCS field 0x%x is 0x%llx%s, expected 0x%llx", encoding, (ull)fake_vmcs[encoding],
			 fake_vmcs_written[encoding] ? "" : ", never written", (ull)value);
}

/* --- creation --- */

static void a_vmcs_begins_with_its_revision(void **state)
{
	struct vcpu *created = vmx_vcpu_create(&vm);

	assert_non_null(created);
	assert_int_equal(allocations, 2);
	assert_int_equal(*(u32 *)to_vmx(created)->vmcs, 0x4e5);
	assert_null(to_vmx(created)->efer_lists);
	vmx_vcpu_destroy(created);
	assert_int_equal(allocations, 0);
}

static void lists_are_for_processors_without_efer_fields(void **state)
{
	struct vcpu *created;

	vmx_caps.entry &= ~(u32)ENTRY_LOAD_EFER;
	created = vmx_vcpu_create(&vm);
	assert_non_null(to_vmx(created)->efer_lists);
	assert_int_equal(allocations, 3);
	vmx_vcpu_destroy(created);
	assert_int_equal(allocations, 0);
}

static void without_memory_there_is_no_vcpu(void **state)
{
	for (unsigned lists_too = 0; lists_too < 2; lists_too++) {
		for (unsigned left = 0; left < 2 + lists_too; left++) {
			setup(state);
			vmx_caps.exit = lists_too ? 0 : vmx_caps.exit;
			allocations_left = left;
			assert_null(vmx_vcpu_create(&vm));
			assert_int_equal(allocations, 0);
		}
	}
}

/* --- loading --- */

static void a_new_vmcs_is_cleared_before_it_is_loaded(void **state)
{
	vmx_vcpu_load(vcpu);
	assert_string_equal(fake_cpu.diary, "cpev");
	assert_int_equal(fake_cpu.vmclear_pa, virt_to_phys(vmcs_page));
	assert_int_equal(fake_cpu.vmptrld_pa, virt_to_phys(vmcs_page));
	memset(fake_cpu.diary, 0, sizeof(fake_cpu.diary));
	vmx_vcpu_load(vcpu);
	assert_string_equal(fake_cpu.diary, "pev");	/* the launch state of one in use is not touched */
}

static void refused_instructions_panic(void **state)
{
	fake_cpu.vmx_fails = true;
	PANICS(vmx_vcpu_load(vcpu));
	vmx.filled = true;
	PANICS(vmx_vcpu_load(vcpu));
	PANICS(ept_flush(&vm));
	PANICS(vmx_flush_tlb(vcpu));
	PANICS(vmx_vcpu_put(vcpu));
}

static void the_host_as_this_cpu_has_it(void **state)
{
	fake_cpu.cr[0] = 0x80010031;
	fake_cpu.cr[4] = 0x3726e0;
	vmx_vcpu_load(vcpu);
	field_is(0x6c00, 0x80010031);
	field_is(0x6c02, 0x9876000);			/* CR3: the VM's own address space */
	field_is(0x6c04, 0x3726e0);
	field_is(0x6c06, 0);				/* FS base */
	field_is(0x6c08, (u64)&cpu);			/* GS base */
	field_is(0x6c0a, 0xffff000000002000);
	field_is(0x6c0c, 0xffff000000001000);
	field_is(0x6c0e, 0xffff000000003000);
	field_is(0x6c10, 0);				/* SYSENTER */
	field_is(0x6c12, 0);
	field_is(0x4c00, 0);
	field_is(0x6c16, (u64)vmx_exit_point);
	field_is(0x0c02, 0x08);				/* CS */
	field_is(0x0c0c, 0x18);				/* TR */
	for (u32 selector = 0x0c00; selector < 0x0c0c; selector += 2)
		if (selector != 0x0c02)
			field_is(selector, 0);
	field_is(0x2c00, 0x0007010600070106);
	field_is(0x2c02, 0xd00);
}

static void host_fields_that_do_not_exist_are_left_alone(void **state)
{
	vmx_caps.entry &= ~(u32)(ENTRY_LOAD_EFER | ENTRY_LOAD_PAT);
	vmx_vcpu_load(vcpu);
	assert_false(fake_vmcs_written[0x2c00]);
	assert_false(fake_vmcs_written[0x2c02]);
}

static void controls_of_a_new_vmcs(void **state)
{
	vmx_vcpu_load(vcpu);
	field_is(0x4000, 0x7f);
	field_is(0x4002, 0xb5186dfa);
	field_is(0x401e, 0x1010aa);
	field_is(0x400c, 0x3fffff);
	field_is(0x4012, 0xffff);
	field_is(0x4004, 1 << 18 | 1 << 1 | 1 << 17);	/* #MC, #DB, #AC exit */
	field_is(0x4006, 0);
	field_is(0x4008, 0);
	field_is(0x400a, 0);
	field_is(0x400e, 0);
	field_is(0x4010, 0);
	field_is(0x4014, 0);
	field_is(0x4016, 0);
	field_is(0x2004, virt_to_phys(bitmap));
	field_is(0x201a, 0x7654000 | 6 | 3 << 3);	/* write-back, a walk of four levels */
	field_is(0x2800, ~0ull);
	field_is(0x202c, 0);				/* XSAVES does not exit */
	assert_int_equal(vmx.primary, 0xb5186dfa);
	assert_int_equal(vmx.entry_controls, 0xffff);
	assert_false(fake_vmcs_written[0x2008]);
	assert_false(fake_vmcs_written[0x200a]);
	assert_true(vcpu->deadline_in_hardware);
	assert_true(vmx.filled);
}

static void controls_are_written_once(void **state)
{
	vmx_vcpu_load(vcpu);
	fake_vmcs_written[0x4002] = fake_vmcs_written[0x4016] = false;
	vmx.host_rsp = 5;
	vmx_vcpu_load(vcpu);
	assert_false(fake_vmcs_written[0x4002]);
	assert_false(fake_vmcs_written[0x4016]);	/* an event may wait there */
	assert_true(fake_vmcs_written[0x6c00]);		/* another CPU's host state */
	assert_int_equal(vmx.host_rsp, 0);		/* and stack */
}

static void without_a_preemption_timer_the_host_has_to_wake_us(void **state)
{
	vmx_caps.pin &= ~(u32)BIT(6);
	vmx_vcpu_load(vcpu);
	assert_false(vcpu->deadline_in_hardware);
}

/* An instruction that the guest's CPUID does not announce raises #UD there. */
static void instructions_that_the_guest_does_not_have(void **state)
{
	vmx_caps.secondary = ~0u;
	vmx_vcpu_load(vcpu);
	field_is(0x401e, ~0u);
	setup(state);
	vmx_caps.secondary = ~0u;
	guest_has_rdtscp = false;
	vmx_vcpu_load(vcpu);
	field_is(0x401e, ~0u & ~BIT(3));
	setup(state);
	vmx_caps.secondary = ~0u;
	guest_leaf_7_ebx = ~BIT(10);
	vmx_vcpu_load(vcpu);
	field_is(0x401e, ~0u & ~BIT(12));
	setup(state);
	vmx_caps.secondary = ~0u;
	guest_leaf_d_eax = ~BIT(3);
	vmx_vcpu_load(vcpu);
	field_is(0x401e, ~0u & ~BIT(20));
	field_is(0x202e, ~0ull);			/* each ENCLS exits */
}

static void fields_of_optional_features(void **state)
{
	vmx_caps.secondary = SECONDARY_EPT;
	vmx_vcpu_load(vcpu);
	assert_false(fake_vmcs_written[0x0000]);	/* VPID */
	assert_false(fake_vmcs_written[0x202c]);
	assert_false(fake_vmcs_written[0x202e]);
	assert_string_equal(fake_cpu.diary, "cpe");	/* and no INVVPID */
}

static void efer_goes_by_lists_without_fields(void **state)
{
	vmx_caps.exit &= ~(u32)EXIT_LOAD_EFER;
	memset(lists, 0x5a, sizeof(lists));
	vmx_vcpu_load(vcpu);
	field_is(0x200a, virt_to_phys(&lists[0]));
	field_is(0x4014, 1);
	field_is(0x2008, virt_to_phys(&lists[1]));
	field_is(0x4010, 1);
	assert_int_equal(lists[0].index, 0xc0000080);
	assert_int_equal(lists[0].value, 0);
	assert_int_equal(lists[1].index, 0xc0000080);
	assert_int_equal(lists[1].value, 0xd00);
}

/* --- translations --- */

static void vpids_are_never_the_hosts(void **state)
{
	static const struct {
		u32 vm, vcpu;
		u16 vpid;
	} cases[] = { { 0, 0, 1 }, { 1, 0, 2 }, { 0xfffe / VM_MAX_VCPUS, 0, 0xffff }, { 0xffff / VM_MAX_VCPUS, 0, 1 } };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		vm.id = cases[i].vm;
		vcpu->id = cases[i].vcpu;
		vmx_vcpu_load(vcpu);
		field_is(0x0000, cases[i].vpid);
		assert_int_equal(fake_cpu.invvpid_descriptor[0], cases[i].vpid);
	}
}

/* INVVPID's and INVEPT's types: 1 is a single context, 2 all. */
static void invalidations_have_the_type_that_there_is(void **state)
{
	vmx_flush_tlb(vcpu);
	assert_int_equal(fake_cpu.invvpid_type, 1);
	assert_int_equal(fake_cpu.invvpid_descriptor[0], 1);
	assert_int_equal(fake_cpu.invvpid_descriptor[1], 0);
	ept_flush(&vm);
	assert_int_equal(fake_cpu.invept_type, 1);
	assert_int_equal(fake_cpu.invept_descriptor[0], 0x7654000 | 6 | 3 << 3);
	assert_int_equal(fake_cpu.invept_descriptor[1], 0);
	vmx_caps.ept_vpid = 0;
	vmx_flush_tlb(vcpu);
	assert_int_equal(fake_cpu.invvpid_type, 2);
	ept_flush(&vm);
	assert_int_equal(fake_cpu.invept_type, 2);
}

static void ept_entries(void **state)
{
	static const struct {
		u64 caps;
		u8 largest;
	} cases[] = { { 0, TDP_4K }, { BIT(16), TDP_2M }, { BIT(17), TDP_1G }, { BIT(16) | BIT(17), TDP_1G } };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		vmx_caps.ept_vpid = cases[i].caps;
		assert_int_equal(ept_map(&vm, 0x1000, 0x2000, 0x3000), -ENOMEM);
		assert_int_equal(mapped_format.largest, cases[i].largest);
		assert_int_equal(mapped_format.table_bits, 7);			/* read, write, execute */
		assert_int_equal(mapped_format.page_bits, 7 | 6 << 3 | 1 << 6);	/* write-back, ignore PAT */
	}
}

/* --- registers that stay in the hardware --- */

static void fill_hardware(void)
{
	fake_cpu.cr[2] = 0xabc000;
	for (unsigned n = 0; n < 7; n++)
		fake_cpu.dr[n] = 0x1000 + n;
	for (unsigned i = 0; i < LIVE_MSRS; i++)
		*fake_msr(vmx_live_msrs[i]) = 0x5500 + i;
}

static void live_registers_come_back(void **state)
{
	static const u32 msrs[] = { 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, 0xc0000103 };

	vmx.filled = true;
	fill_hardware();
	vmx_vcpu_put(vcpu);
	fake_cpu.cr[2] = 0;
	memset(fake_cpu.dr, 0, sizeof(fake_cpu.dr));
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		*fake_msr(msrs[i]) = 0;
	vmx_vcpu_load(vcpu);
	assert_int_equal(fake_cpu.cr[2], 0xabc000);
	for (unsigned n = 0; n < 7; n++)
		assert_int_equal(fake_cpu.dr[n], n == 4 || n == 5 ? 0 : 0x1000 + n);
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		assert_true(*fake_msr(msrs[i]) >= 0x5500 && *fake_msr(msrs[i]) < 0x5500 + LIVE_MSRS);
	assert_int_equal(fake_msr_writes(0xc0000103), 1);
}

static void a_processor_without_rdtscp_has_no_tsc_aux(void **state)
{
	cpu_features.rdtscp = false;
	vmx.filled = true;
	vmx.live_msrs[LIVE_TSC_AUX] = 7;
	fill_hardware();
	vmx_vcpu_put(vcpu);
	assert_int_equal(vmx.live_msrs[LIVE_TSC_AUX], 7);
	vmx_vcpu_load(vcpu);
	assert_int_equal(fake_msr_writes(0xc0000103), 0);
	assert_int_equal(fake_msr_writes(0xc0000081), 1);
}

/* XGETBV works on the build host; XSETBV is the fake's. */
static void xcr0_is_switched_where_there_is_xsave(void **state)
{
	vmx.filled = true;
	vmx.xcr0 = 7;
	vmx_vcpu_load(vcpu);
	assert_int_equal(fake_cpu.xcr0, 0);
	cpu_features.xsave = true;
	vmx_vcpu_load(vcpu);
	assert_int_equal(fake_cpu.xcr0, 7);
}

static void a_vcpu_that_leaves_has_nothing_on_the_cpu(void **state)
{
	vmx_vcpu_load(vcpu);
	memset(fake_cpu.diary, 0, sizeof(fake_cpu.diary));
	vmx.launched = true;
	vcpu->regs_available = vcpu->regs_dirty = BIT(REG_RIP);
	vcpu->regs[REG_RIP] = 0x1234;
	vmx_vcpu_put(vcpu);
	assert_string_equal(fake_cpu.diary, "c");
	assert_false(vmx.launched);
	assert_int_equal(vcpu->regs_available, 0);
	assert_int_equal(vmx_stored_rip, 0x1234);
}

/* --- reset --- */

static void segment_is(unsigned index, u16 selector, u64 base, u32 rights)
{
	field_is(0x0800 + 2 * index, selector);
	field_is(0x4800 + 2 * index, 0xffff);
	field_is(0x4814 + 2 * index, rights);
	field_is(0x6806 + 2 * index, base);
}

static void state_after_a_reset(void **state)
{
	vmx_vcpu_load(vcpu);
	memset(vcpu->regs, 0x55, sizeof(vcpu->regs));
	vmx_vcpu_reset(vcpu);
	segment_is(1, 0xf000, 0xffff0000, 0x9b);
	for (unsigned index = 0; index < 6; index++)
		if (index != 1)
			segment_is(index, 0, 0, 0x93);
	segment_is(6, 0, 0, 0x82);
	segment_is(7, 0, 0, 0x8b);
	field_is(0x4810, 0xffff);			/* GDTR, IDTR */
	field_is(0x4812, 0xffff);
	field_is(0x6816, 0);
	field_is(0x6818, 0);
	field_is(0x681a, 0x400);			/* DR7 */
	field_is(0x2802, 0);				/* DEBUGCTL */
	field_is(0x482a, 0);				/* SYSENTER */
	field_is(0x6824, 0);
	field_is(0x6826, 0);
	field_is(0x4826, 0);				/* active */
	field_is(0x4824, 0);				/* no shadow */
	field_is(0x6822, 0);
	field_is(0x4016, 0);				/* no event */
	field_is(0x2804, 0x0007040600070406);
	assert_int_equal(vmx_control_get(vcpu, CTL_CR0), 0x60000010);
	assert_int_equal(vmx_control_get(vcpu, CTL_CR2), 0);
	assert_int_equal(vmx_control_get(vcpu, CTL_CR3), 0);
	assert_int_equal(vmx_control_get(vcpu, CTL_CR4), 0);
	assert_int_equal(vmx_control_get(vcpu, CTL_EFER), 0);
	assert_int_equal(vmx_control_get(vcpu, CTL_DR6), 0xffff0ff0);
}

static void registers_after_a_reset(void **state)
{
	vmx_vcpu_load(vcpu);
	memset(vcpu->regs, 0x55, sizeof(vcpu->regs));
	vmx_vcpu_reset(vcpu);
	for (unsigned reg = 0; reg < REG_COUNT; reg++)
		assert_int_equal(vcpu->regs[reg], reg == REG_RDX ? 0x506e3 : reg == REG_RIP ? 0xfff0 :
				 reg == REG_RFLAGS ? 2 : 0);
	assert_int_equal(vcpu->regs_dirty & REGS_LAZY, REGS_LAZY);
	assert_int_equal(vcpu->regs_available & REGS_LAZY, REGS_LAZY);
}

static void hardware_after_a_reset(void **state)
{
	cpu_features.xsave = true;
	vmx_vcpu_load(vcpu);
	fill_hardware();
	vmx.want_irq_window = vmx.want_nmi_window = vmx.nmi_blocked = true;
	vmx_vcpu_reset(vcpu);
	assert_int_equal(fake_cpu.cr[2], 0);
	assert_int_equal(fake_cpu.xcr0, 1);
	for (unsigned n = 0; n < 4; n++)
		assert_int_equal(fake_cpu.dr[n], 0);
	assert_int_equal(fake_cpu.dr[6], 0xffff0ff0);
	for (unsigned i = 0; i < LIVE_MSRS; i++)
		assert_int_equal(*fake_msr(vmx_live_msrs[i]), 0);
	assert_false(vmx.want_irq_window);
	assert_false(vmx.want_nmi_window);
	assert_false(vmx.nmi_blocked);
}

/* --- a VM --- */

static void a_vm_intercepts_every_msr_at_first(void **state)
{
	assert_int_equal(vmx_vm_create(&vm), 0);
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(((u8 *)vm.vendor)[i], 0xff);
	assert_int_equal(trees, 1);
	vmx_vm_destroy(&vm);
	assert_int_equal(allocations, 0);
	assert_null(vm.vendor);
	vmx_vm_destroy(&vm);				/* of what was never created */

	allocations_left = 0;
	assert_int_equal(vmx_vm_create(&vm), -ENOMEM);
	assert_int_equal(trees, 0);
	allocations_left = 1;
	tdp_fails = true;
	assert_int_equal(vmx_vm_create(&vm), -ENOMEM);
	vmx_vm_destroy(&vm);
	assert_int_equal(allocations, 0);
}

/* "MSR-Bitmap Address": 1 KiB each for reads of low and high MSRs, then writes. */
static void msr_bits_are_where_the_manual_says(void **state)
{
	static const struct {
		u32 msr;
		unsigned byte, bit;
	} cases[] = {
		{ 0, 0, 0 }, { 0x174, 0x2e, 4 }, { 0x1fff, 0x3ff, 7 },
		{ 0xc0000000, 0x400, 0 }, { 0xc0000102, 0x420, 2 }, { 0xc0001fff, 0x7ff, 7 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned access = 0; access < 4; access++) {
			memset(bitmap, 0xff, sizeof(bitmap));
			vmx_vm_msr_passthrough(&vm, cases[i].msr, access & 1, access & 2);
			for (unsigned byte = 0; byte < sizeof(bitmap); byte++) {
				bool cleared = (byte == cases[i].byte && access & 1) ||
					       (byte == cases[i].byte + 0x800 && access & 2);

				assert_int_equal(bitmap[byte], cleared ? (u8)~(1 << cases[i].bit) : 0xff);
			}
		}
	}
}

static void msrs_that_must_exit(void **state)
{
	static const u32 msrs[] = { 0x2000, 0xbfffffff, 0xc0002000, 0xffffffff };

	memset(bitmap, 0xff, sizeof(bitmap));
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		vmx_vm_msr_passthrough(&vm, msrs[i], true, true);
	vmx_caps.exit &= ~(u32)EXIT_LOAD_PAT;
	vmx_vm_msr_passthrough(&vm, MSR_PAT, true, true);	/* the register would be the host's */
	for (unsigned byte = 0; byte < sizeof(bitmap); byte++)
		assert_int_equal(bitmap[byte], 0xff);
	vmx_caps.exit |= EXIT_LOAD_PAT;
	vmx_vm_msr_passthrough(&vm, MSR_PAT, true, false);
	assert_int_equal(bitmap[0x277 / 8], (u8)~(1 << 7));
}

/* --- VMX itself --- */

static void vmx_is_switched_on(void **state)
{
	fake_cpu.cr[0] = CR0_PE | CR0_WP;
	fake_cpu.cr[4] = CR4_PAE | BIT_ULL(30);
	assert_int_equal(vmx_cpu_enable(&cpu), 0);
	assert_string_equal(fake_cpu.diary, "o");
	assert_int_equal(fake_cpu.vmxon_pa, virt_to_phys(cpu.vendor_page));
	assert_int_equal(cpu.vendor_page_pa, fake_cpu.vmxon_pa);
	assert_int_equal(*(u32 *)cpu.vendor_page, 0x4e5);
	assert_int_equal(fake_cpu.cr[0], CR0_PE | CR0_WP | CR0_PG | CR0_NE);
	assert_int_equal(fake_cpu.cr[4], CR4_PAE | CR4_VMXE);	/* what FIXED1 has 0 must be 0 */
	assert_int_equal(fake_msr_writes(MSR_FEATURE_CONTROL), 0);

	vmx_cpu_disable(&cpu);
	assert_string_equal(fake_cpu.diary, "ox");
	assert_int_equal(fake_cpu.cr[4], CR4_PAE);
	assert_int_equal(allocations, 0);
	assert_null(cpu.vendor_page);
}

static void an_open_decision_is_taken_and_locked(void **state)
{
	*fake_msr(MSR_FEATURE_CONTROL) = BIT_ULL(17);
	assert_int_equal(vmx_cpu_enable(&cpu), 0);
	assert_int_equal(*fake_msr(MSR_FEATURE_CONTROL), BIT_ULL(17) | 5);
	vmx_cpu_disable(&cpu);
}

static void a_refused_vmxon_leaves_nothing(void **state)
{
	for (unsigned faults = 0; faults < 2; faults++) {
		setup(state);
		fake_cpu.vmx_fails = !faults;
		fake_cpu.vmxon_faults = faults;
		fake_cpu.cr[4] = CR4_PAE;
		assert_int_equal(vmx_cpu_enable(&cpu), -ENODEV);
		assert_int_equal(allocations, 0);
		assert_null(cpu.vendor_page);
		assert_int_equal(fake_cpu.cr[4], CR4_PAE);
	}
	setup(state);
	allocations_left = 0;
	assert_int_equal(vmx_cpu_enable(&cpu), -ENOMEM);
	assert_string_equal(fake_cpu.diary, "");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vmcs_begins_with_its_revision),
		TEST(lists_are_for_processors_without_efer_fields),
		TEST(without_memory_there_is_no_vcpu),
		TEST(a_new_vmcs_is_cleared_before_it_is_loaded),
		TEST(refused_instructions_panic),
		TEST(the_host_as_this_cpu_has_it),
		TEST(host_fields_that_do_not_exist_are_left_alone),
		TEST(controls_of_a_new_vmcs),
		TEST(controls_are_written_once),
		TEST(without_a_preemption_timer_the_host_has_to_wake_us),
		TEST(instructions_that_the_guest_does_not_have),
		TEST(fields_of_optional_features),
		TEST(efer_goes_by_lists_without_fields),
		TEST(vpids_are_never_the_hosts),
		TEST(invalidations_have_the_type_that_there_is),
		TEST(ept_entries),
		TEST(live_registers_come_back),
		TEST(a_processor_without_rdtscp_has_no_tsc_aux),
		TEST(xcr0_is_switched_where_there_is_xsave),
		TEST(a_vcpu_that_leaves_has_nothing_on_the_cpu),
		TEST(state_after_a_reset),
		TEST(registers_after_a_reset),
		TEST(hardware_after_a_reset),
		TEST(a_vm_intercepts_every_msr_at_first),
		TEST(msr_bits_are_where_the_manual_says),
		TEST(msrs_that_must_exit),
		TEST(vmx_is_switched_on),
		TEST(an_open_decision_is_taken_and_locked),
		TEST(a_refused_vmxon_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
