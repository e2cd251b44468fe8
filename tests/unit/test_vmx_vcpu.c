/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's VMCS from creation to reset, and a VM's EPT and MSR bitmap, on a fake processor with a fake
 * VMCS. Intel SDM, "Virtual Machine Control Structures", "Processor State After Reset".
 */
/* link: vmx/vcpu.c vmx/apic.c vmx/switch.c core/cpu/tlb_id.c vmx/vm.c vmx/ept.c vmx/state.c vmx/events.c tests/unit/fake_vmcs.c tests/unit/fake_cpu.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "counted_pages.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/gdt.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/fault/trap.h"
#include "arch/mem/pool.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "core/emulate/emulate.h"
#include "core/mem/tdp.h"
#include "tests/unit/fake_cpu.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/nested/nested.h"
#include "vmx/vmx.h"

#define REVISION  0x1234u
#define TDP_ROOT  0x5555000ull
#define VM_ROOT	  0x7777000ull
#define HOST_PAT_VALUE	0x0007010600070106ull
#define HOST_EFER_VALUE 0xd01ull

struct vmx_caps vmx_caps;
struct cpu_features cpu_features;
const u8 vmx_exit_point[1];
const struct vcpu_ops vmx_ops;

static struct vm vm;
static struct percpu cpu;
static struct vcpu *vcpu;
static struct vcpu_vmx *vmx;
static unsigned stored, fpu_saved, fpu_restored, fpu_initial, vm_switched_to;
static u64 features;		/* bits of enum guest_feature */
static u32 leaf_d_eax;
static jmp_buf panicked;
static bool may_panic;

/* --- the rest of Lamina --- */

void *pages_alloc(unsigned order)
{
	assert_int_equal(order, 0);
	return page_alloc();
}

void pages_free(void *memory, unsigned order)
{
	assert_int_equal(order, 0);
	page_free(memory);
}

/* arch/cpu/fpu.c has a test of its own. */
unsigned fpu_image_order(void) { return 0; }
void fpu_save(struct fpu_state *state) { fpu_saved++; }
void fpu_restore(const struct fpu_state *state) { fpu_restored++; }
void fpu_restore_initial(struct fpu_state *state) { fpu_initial++; }

void fpu_state_init(struct fpu_state *state, void *image)
{
	*state = (struct fpu_state){ .image = image, .xcr0 = 1 };
}

int tdp_unmap(struct vm *of, gpa_t gpa, u64 size) { return 0; }
int tdp_remap(struct vm *of, gpa_t gpa, hpa_t hpa, u64 size, bool writable) { return 0; }
void tdp_flush_answer(void) { }

static u64 spec_ctrl_at_switch;

void speculation_switch_vm(struct percpu *on, u32 vm_id)
{
	assert_ptr_equal(on, &cpu);
	vm_switched_to = vm_id;
	spec_ctrl_at_switch = cpu_features.spec_ctrl ? fake_msr(0x48)->value : 0;
}

/* vmx/nested has tests of its own. */
static unsigned nested_resets;
static bool nested_init;
void shadow_flush_all(struct shadow *shadow) { }

int nested_vmx_create(struct vcpu_vmx *v)
{
	v->nested = page_alloc();
	return v->nested ? 0 : -ENOMEM;
}

void nested_vmx_destroy(struct vcpu_vmx *v)
{
	if (v->nested)
		page_free(v->nested);
}

void nested_vmx_forget(struct vcpu *v) { fail(); }
static unsigned apic_flushes;
void nested_forget_apic_access(struct vcpu *v) { assert_true(v->l2_runs); apic_flushes++; }

static unsigned shadowing_releases;

void nested_shadowing_release(struct vcpu_vmx *v) { shadowing_releases++; }

void nested_vmx_reset(struct vcpu_vmx *v, bool init)
{
	nested_resets++;
	nested_init = init;
}

void panic(const char *format, ...)
{
	if (may_panic)
		longjmp(panicked, 1);
	fail_msg("panic: %s", format);
	__builtin_unreachable();
}

static bool panics(void (*function)(struct vcpu *v))
{
	volatile bool returned = false;

	may_panic = true;
	if (!setjmp(panicked)) {
		function(vcpu);
		returned = true;
	}
	may_panic = false;
	return !returned;
}

/* Fields are accessible once VMPTRLD has made the VMCS current. */
void vmcs_write_list(const struct vmcs_setting *settings, unsigned count)
{
	assert_int_equal(fake_cpu.current_vmcs, virt_to_phys(vmx->vmcs.page));
	for (unsigned i = 0; i < count; i++) {
		fake_vmcs[settings[i].encoding] = settings[i].value;
		fake_vmcs_written[settings[i].encoding] = true;
	}
}

struct percpu *this_cpu(void) { return &cpu; }
u64 gdt_base(const struct percpu *of) { assert_ptr_equal(of, &cpu); return 0xffff800000001000; }
u64 tss_base(const struct percpu *of) { assert_ptr_equal(of, &cpu); return 0xffff800000002000; }
u64 idt_base(void) { return 0xffff800000003000; }

bool cpuid_has(const struct vcpu *v, enum guest_feature feature)
{
	return features >> feature & 1;
}

struct cpuid_regs cpuid_guest(struct vcpu *v, u32 leaf, u32 subleaf)
{
	if (leaf == 0xd && subleaf == 1)
		return (struct cpuid_regs){ .eax = leaf_d_eax };
	fail_msg("CPUID leaf 0x%x, subleaf %u", leaf, subleaf);
	return (struct cpuid_regs){ 0 };
}

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	assert_int_equal(leaf, 1);
	return (struct cpuid_regs){ .eax = 0x000906ea };
}

void vmx_store_dirty_regs(struct vcpu *v)
{
	assert_int_not_equal(fake_cpu.current_vmcs, 0);	/* before VMCLEAR */
	stored++;
}

u64 control_cr4_allowed(const struct vcpu *v) { return 0; }
void emulate_advance(struct vcpu *v, unsigned length) { fail(); }
void event_raise_debug(struct vcpu *v, u64 dr6_bits) { fail(); }

static int root_error;

int tdp_create(struct vm *v)
{
	v->tdp_root = TDP_ROOT;
	return root_error;
}

void tdp_destroy(struct vm *v) { v->tdp_root = 0; }

void ept_reserve(struct vm *v) { }
void ept_unreserve(struct vm *v) { }

/* --- set-up --- */

static void power_on_processor(void)
{
	static const u32 live[] = { 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, 0xc0000103 };

	fake_cpu_reset();
	fake_cpu.cr[0] = 0x80010031;
	fake_cpu.cr[4] = 0x2020;
	fake_msr(MSR_PAT)->value = HOST_PAT_VALUE;
	fake_msr(MSR_EFER)->value = HOST_EFER_VALUE;
	for (unsigned i = 0; i < ARRAY_SIZE(live); i++)
		fake_msr(live[i])->value = 0x100 + i;
}

/* Each set of controls a different value, with all that Lamina can do without. */
static void all_capabilities(void)
{
	vmx_caps = (struct vmx_caps){
		.revision = REVISION,
		.pin = 0x16 | PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER,
		.primary = 0x0401e172 | PRIMARY_HLT | PRIMARY_MSR_BITMAP | PRIMARY_SECONDARY,
		.secondary = SECONDARY_EPT | SECONDARY_VPID | SECONDARY_UNRESTRICTED_GUEST |
			     SECONDARY_RDTSCP | SECONDARY_INVPCID | SECONDARY_XSAVES | SECONDARY_ENCLS |
			     BIT(31),
		.exit = 0x36dff | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_LOAD_EFER,
		.entry = 0x11ff | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER,
		.ept_vpid = EPT_INVEPT_SINGLE | EPT_INVVPID_SINGLE | EPT_PAGES_2M | EPT_PAGES_1G,
		.cr0_fixed0 = CR0_PG | CR0_NE | CR0_PE, .cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = CR4_VMXE, .cr4_fixed1 = 0x3fffff,
	};
}

static const struct vcpu_ops ops = { .reg_fetch = vmx_reg_fetch };
static u8 bitmap_page[PAGE_SIZE];

static void new_vcpu(void)
{
	vcpu = vmx_vcpu_create(&vm);
	assert_non_null(vcpu);
	vmx = to_vmx(vcpu);
	vcpu->vm = &vm;
	vcpu->ops = &ops;
}

static void power_on(void)
{
	power_on_processor();
	fake_vmcs_clear();
	all_capabilities();
	cpu_features = (struct cpu_features){ .rdtscp = true, .xsave = true };
	vm = (struct vm){ .id = 4, .tdp_root = TDP_ROOT, .vendor = bitmap_page };
	vm.space.root = VM_ROOT;
	features = BIT_ULL(FEATURE_RDTSCP) | BIT_ULL(FEATURE_INVPCID);
	leaf_d_eax = BIT(3);
	page_limit = 100;
	pages = stored = fpu_saved = fpu_restored = fpu_initial = vm_switched_to = 0;
	cpu = (struct percpu){ 0 };
}

static void start(void)
{
	power_on();
	new_vcpu();
}

static void finish(void)
{
	vmx_vcpu_destroy(vcpu);
	assert_int_equal(pages, 0);
}

struct expected {
	u32 encoding;
	u64 value;
};

static void assert_fields(const struct expected *fields, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (!fake_vmcs_written[fields[i].encoding] || fake_vmcs[fields[i].encoding] != fields[i].value)
			fail_msg("VMCS field 0x%x: 0x%llx (written: %d), expected 0x%llx", fields[i].encoding,
				 (unsigned long long)fake_vmcs[fields[i].encoding],
				 fake_vmcs_written[fields[i].encoding],
				 (unsigned long long)fields[i].value);
	}
}

/* --- creation --- */

static void a_new_vmcs_names_the_revision(void **state)
{
	start();
	assert_int_equal(*(u32 *)vmx->vmcs.page, REVISION);
	assert_null(vmx->efer_lists);
	assert_int_equal(pages, 3);
	assert_false(vmx->vmcs.filled);
	finish();
}

/* The MSR-load lists take a page where VM entry and VM exit do not load EFER from the VMCS. */
static void efer_lists_replace_missing_fields(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		power_on();
		if (i)
			vmx_caps.entry &= ~(u32)ENTRY_LOAD_EFER;
		else
			vmx_caps.exit &= ~(u32)EXIT_LOAD_EFER;
		new_vcpu();
		assert_non_null(vmx->efer_lists);
		assert_int_equal(pages, 4);
		finish();
	}
}

static void creation_without_memory_leaves_nothing(void **state)
{
	for (page_limit = 0; ; page_limit++) {
		unsigned limit = page_limit;

		power_on();
		vmx_caps.entry &= ~(u32)ENTRY_LOAD_EFER;
		page_limit = limit;
		if (limit == 4)
			break;
		assert_null(vmx_vcpu_create(&vm));
		assert_int_equal(pages, 0);
	}
	new_vcpu();
	finish();

	power_on();
	page_limit = 1;
	assert_null(vmx_vcpu_create(&vm));
	assert_int_equal(pages, 0);
}

/* nested=on: one more allocation, and a reset of what it is for. */
static void a_hypervisors_vcpu(void **state)
{
	power_on();
	vm.l2_ops = &vmx_ops;
	page_limit = 3;
	assert_null(vmx_vcpu_create(&vm));
	assert_int_equal(pages, 0);
	page_limit = 4;
	vcpu = vmx_vcpu_create(&vm);
	assert_non_null(vcpu);
	vmx = to_vmx(vcpu);
	vcpu->vm = &vm;
	vmx_vcpu_load(vcpu);
	nested_resets = 0;
	for (unsigned init = 0; init < 2; init++) {
		vmx_vcpu_reset(vcpu, init);
		assert_int_equal(nested_resets, init + 1);
		assert_int_equal(nested_init, init);
	}
	/* All that may be active on this CPU is let go of. */
	shadowing_releases = 0;
	vmx_vcpu_put(vcpu);
	vmx_vcpu_release(vcpu);
	assert_int_equal(shadowing_releases, 1);
	vmx_vcpu_load(vcpu);

	/* Between two times that L2 runs, another vCPU may by the same EPT. */
	assert_int_equal(apic_flushes, 0);
	vcpu->l2_runs = true;
	vmx_vcpu_put(vcpu);
	assert_int_equal(apic_flushes, 1);
	vmx_vcpu_load(vcpu);
	assert_int_equal(apic_flushes, 2);
	vcpu->l2_runs = false;
	vm.l2_ops = NULL;
	finish();
}

/* --- loading --- */

/* SDM, "Host-State Area": RPL and TI of all selectors 0, CS and TR not 0. */
static void host_state_is_this_cpus(void **state)
{
	start();
	memset(fake_vmcs, 0xff, sizeof(fake_vmcs));
	vmx_vcpu_load(vcpu);
	{
		const struct expected fields[] = {
			{ 0x6c00, 0x80010031 }, { 0x6c02, VM_ROOT }, { 0x6c04, 0x2020 },
			{ 0x6c16, (u64)vmx_exit_point },
			{ 0x0c02, 0x08 }, { 0x0c04, 0 }, { 0x0c06, 0 }, { 0x0c00, 0 }, { 0x0c08, 0 },
			{ 0x0c0a, 0 }, { 0x0c0c, 0x18 },
			{ 0x6c06, 0 }, { 0x6c08, (u64)&cpu },
			{ 0x6c0a, 0xffff800000002000 }, { 0x6c0c, 0xffff800000001000 },
			{ 0x6c0e, 0xffff800000003000 },
			{ 0x4c00, 0 }, { 0x6c10, 0 }, { 0x6c12, 0 },
			{ 0x2c00, HOST_PAT_VALUE }, { 0x2c02, HOST_EFER_VALUE },
		};

		assert_fields(fields, ARRAY_SIZE(fields));
	}
	finish();
}

static void controls_are_the_capabilities(void **state)
{
	start();
	memset(fake_vmcs, 0xaa, sizeof(fake_vmcs));
	vmx_vcpu_load(vcpu);
	{
		const struct expected fields[] = {
			{ 0x4000, vmx_caps.pin }, { 0x4002, vmx_caps.primary },
			{ 0x401e, vmx_caps.secondary }, { 0x400c, vmx_caps.exit },
			{ 0x4012, vmx_caps.entry },
			{ 0x4004, BIT(18) | BIT(1) | BIT(17) },		/* #MC, #DB, #AC */
			{ 0x4006, 0 }, { 0x4008, 0 }, { 0x400a, 0 },
			{ 0x400e, 0 }, { 0x4010, 0 }, { 0x4014, 0 }, { 0x4016, 0 },
			{ 0x2004, virt_to_phys(bitmap_page) },
			{ 0x201a, TDP_ROOT | 6 | 3 << 3 },	/* write-back, a walk of 4 levels */
			{ 0x2800, ~0ull },			/* no shadow VMCS */
			{ 0x4826, 0 }, { 0x2802, 0 },		/* active; DEBUGCTL */
			{ 0x0000, 1 },				/* the first VPID of this CPU */
			{ 0x202c, 0 },				/* XSAVES never exits */
			{ 0x202e, ~0ull },			/* each leaf of ENCLS does */
			{ 0x4024, 0 },				/* Notify window: the processor's own threshold */
		};

		assert_fields(fields, ARRAY_SIZE(fields));
	}
	assert_int_equal(vmx->vmcs.primary, vmx_caps.primary);
	assert_int_equal(vmx->vmcs.entry_controls, vmx_caps.entry);
	assert_false(fake_vmcs_written[0x2008] || fake_vmcs_written[0x200a]);
	finish();
}

/* A field exists only where its control does: elsewhere VMWRITE fails. */
static void fields_without_their_control_are_not_written(void **state)
{
	static const struct {
		u32 secondary, entry, exit, encoding;
	} cases[] = {
		{ .secondary = SECONDARY_VPID, .encoding = 0x0000 },
		{ .secondary = SECONDARY_XSAVES, .encoding = 0x202c },
		{ .secondary = SECONDARY_ENCLS, .encoding = 0x202e },
		{ .secondary = BIT(31), .encoding = 0x4024 },
		{ .entry = ENTRY_LOAD_PAT, .encoding = 0x2c00 },
		{ .exit = EXIT_LOAD_PAT, .encoding = 0x2c00 },
		{ .exit = EXIT_SAVE_PAT, .encoding = 0x2c00 },
		{ .exit = EXIT_LOAD_EFER, .encoding = 0x2c02 },
		{ .entry = ENTRY_LOAD_EFER, .encoding = 0x2c02 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		power_on();
		vmx_caps.secondary &= ~cases[i].secondary;
		vmx_caps.entry &= ~cases[i].entry;
		vmx_caps.exit &= ~cases[i].exit;
		new_vcpu();
		vmx_vcpu_load(vcpu);
		assert_false(fake_vmcs_written[cases[i].encoding]);
		finish();
	}
}

/* SDM, "VM-Entry Controls for MSRs": 16 bytes each, index in the first 4, value in the last 8. */
static void efer_lists_hold_one_msr_each(void **state)
{
	power_on();
	vmx_caps.exit &= ~(u32)EXIT_LOAD_EFER;
	new_vcpu();
	vmx_vcpu_load(vcpu);
	{
		const u64 *lists = (const u64 *)vmx->efer_lists;
		const struct expected fields[] = {
			{ 0x200a, virt_to_phys(lists) }, { 0x4014, 1 },
			{ 0x2008, virt_to_phys(lists + 2) }, { 0x4010, 1 },
		};

		assert_fields(fields, ARRAY_SIZE(fields));
		assert_int_equal(lists[0], 0xc0000080);
		assert_int_equal(lists[1], 0);
		assert_int_equal(lists[2], 0xc0000080);
		assert_int_equal(lists[3], HOST_EFER_VALUE);
	}
	finish();
}

/* What CPUID hides raises #UD; the other controls stay. */
static void hidden_instructions_are_switched_off(void **state)
{
	for (unsigned hidden = 0; hidden < 8; hidden++) {
		u32 off = (hidden & 1 ? SECONDARY_RDTSCP : 0) | (hidden & 2 ? SECONDARY_INVPCID : 0) |
			  (hidden & 4 ? SECONDARY_XSAVES : 0);

		power_on();
		features = (hidden & 1 ? 0 : BIT_ULL(FEATURE_RDTSCP)) | (hidden & 2 ? 0 : BIT_ULL(FEATURE_INVPCID));
		leaf_d_eax = hidden & 4 ? ~(u32)BIT(3) : BIT(3);
		new_vcpu();
		vmx_vcpu_load(vcpu);
		assert_int_equal(FAKE(SECONDARY_CONTROLS), vmx_caps.secondary & ~off);
		finish();
	}
}

/* --- translations --- */

/* VPIDs are 16 bits; 0 is the host's. They are the CPU's: each vCPU that is new there gets the next one. */
static void vpids_are_the_cpus_and_never_0(void **state)
{
	static const struct {
		u32 next, vpid;
		bool all_flushed;
	} cases[] = {
		{ 0, 1, true }, { 1, 1, false }, { 2, 2, false }, { 0xffff, 0xffff, false }, { 0x10000, 1, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		start();
		cpu.tlb_id_next = cases[i].next;
		cpu.tlb_id_generation = 7;
		vmx_vcpu_load(vcpu);
		assert_int_equal(FAKE(VPID), cases[i].vpid);
		assert_int_equal(fake_cpu_count(DO_INVVPID), cases[i].all_flushed);
		if (cases[i].all_flushed) {
			assert_int_equal(fake_cpu_step(DO_INVVPID, 0)->number, 2);	/* all contexts */
			assert_int_equal(fake_cpu_step(DO_INVVPID, 0)->value, 0);
			assert_int_equal(fake_cpu_step(DO_INVVPID, 0)->value2, 0);
		}
		finish();
	}
}

static void a_vpid_is_kept_where_it_is_valid(void **state)
{
	start();
	vmx_vcpu_load(vcpu);
	vmx_vcpu_put(vcpu);
	fake_cpu.step_count = 0;
	memset(fake_vmcs_written, 0, sizeof(fake_vmcs_written));
	vmx_vcpu_load(vcpu);
	assert_int_equal(fake_cpu_count(DO_INVVPID), 0);
	assert_int_equal(fake_cpu_count(DO_INVEPT), 0);
	assert_false(WRITTEN(VPID));
	vmx_vcpu_put(vcpu);

	cpu.tlb_id_generation++;	/* the ids began anew meanwhile */
	cpu.tlb_id_next = 9;
	vmx_vcpu_load(vcpu);
	assert_int_equal(FAKE(VPID), 9);
	assert_int_equal(fake_cpu_count(DO_INVVPID), 0);
	assert_int_equal(fake_cpu_count(DO_INVEPT), 0);	/* the tables are those that this CPU knows */
	finish();
}

/* SDM, "INVEPT": type 1 is the single context, where the processor has it; 2 is all. */
static void ept_is_flushed_when_it_is_new_on_a_cpu(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct privileged_step *step;

		power_on();
		if (i)
			vmx_caps.ept_vpid &= ~EPT_INVEPT_SINGLE;
		new_vcpu();
		vmx_vcpu_load(vcpu);
		assert_int_equal(fake_cpu_count(DO_INVEPT), 1);
		step = fake_cpu_step(DO_INVEPT, 0);
		assert_int_equal(step->number, i ? 2 : 1);
		assert_int_equal(step->value, TDP_ROOT | 0x1e);
		assert_int_equal(step->value2, 0);
		fake_cpu.step_count = 0;
		vmx_flush_tdp(vcpu);
		assert_int_equal(fake_cpu_count(DO_INVEPT), 1);
		finish();
	}
}

/* SDM, "INVVPID": 1 is a single context, where the processor has it; 2 is all, and the VPID is then not looked at. */
static void a_guests_own_flush_is_of_its_vpid(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct privileged_step *step;

		power_on();
		cpu.tlb_id_next = 5;
		if (i)
			vmx_caps.ept_vpid &= ~EPT_INVVPID_SINGLE;
		new_vcpu();
		vmx_vcpu_load(vcpu);
		fake_cpu.step_count = 0;
		vmx_flush_tlb(vcpu);
		step = fake_cpu_step(DO_INVVPID, 0);
		assert_int_equal(step->number, i ? 2 : 1);
		assert_int_equal(step->value, i ? 0 : 5);	/* bits 63:16 must be 0 */
		assert_int_equal(step->value2, 0);
		finish();
	}
}

static void without_vpids_entries_flush(void **state)
{
	power_on();
	vmx_caps.secondary &= ~(u32)SECONDARY_VPID;
	new_vcpu();
	vmx_vcpu_load(vcpu);
	vmx_flush_tlb(vcpu);
	assert_int_equal(fake_cpu_count(DO_INVVPID), 0);
	assert_int_equal(fake_cpu_count(DO_INVEPT), 1);
	finish();
}

/* --- the VMCS: cleared once, then active on one CPU --- */

/* VMCLEAR initializes a new VMCS before VMPTRLD; later it would throw away what was not put. */
static void only_a_new_vmcs_is_cleared_and_filled(void **state)
{
	start();
	vmx_vcpu_load(vcpu);
	assert_int_equal(fake_cpu_count(DO_VMCLEAR), 1);
	assert_int_equal(fake_cpu_step(DO_VMCLEAR, 0)->value, virt_to_phys(vmx->vmcs.page));
	assert_true(fake_cpu_step(DO_VMCLEAR, 0) < fake_cpu_step(DO_VMPTRLD, 0));
	assert_int_equal(fake_cpu_step(DO_VMPTRLD, 0)->value, virt_to_phys(vmx->vmcs.page));
	vmx_vcpu_put(vcpu);
	vmx_vcpu_release(vcpu);

	memset(fake_vmcs_written, 0, sizeof(fake_vmcs_written));
	power_on_processor();
	vmx->vmcs.host_rsp = 0x1234;
	vmx_vcpu_load(vcpu);
	assert_int_equal(fake_cpu_count(DO_VMCLEAR), 0);
	assert_int_equal(fake_cpu_count(DO_VMPTRLD), 1);
	assert_false(WRITTEN(PIN_BASED_CONTROLS));	/* the guest's state is in the VMCS */
	assert_true(WRITTEN(HOST_GS_BASE));		/* another CPU may load it */
	assert_int_equal(vmx->vmcs.host_rsp, 0);		/* and its stack is another one */
	finish();
}

/* Put and loaded again on its CPU it stays launched, and what belongs to the CPU is not written again. */
static void a_vmcs_stays_active_until_it_is_released(void **state)
{
	start();
	vmx_vcpu_load(vcpu);
	vmx->vmcs.launched = true;
	vmx_vcpu_put(vcpu);
	assert_true(vmx->vmcs.launched);
	assert_int_equal(fake_cpu_count(DO_VMCLEAR), 1);
	assert_ptr_equal(cpu.vendor_current, vmx->vmcs.page);

	memset(fake_vmcs_written, 0, sizeof(fake_vmcs_written));
	vmx->vmcs.host_rsp = 0x1234;
	vmx_vcpu_load(vcpu);
	assert_int_equal(fake_cpu_count(DO_VMPTRLD), 1);	/* it is still the current one */
	assert_false(WRITTEN(HOST_GS_BASE) || WRITTEN(HOST_CR3));
	assert_int_equal(vmx->vmcs.host_rsp, 0x1234);
	vmx_vcpu_put(vcpu);

	cpu.vendor_current = &cpu;				/* another one became current */
	vmx_vcpu_load(vcpu);
	assert_int_equal(fake_cpu_count(DO_VMPTRLD), 2);
	assert_ptr_equal(cpu.vendor_current, vmx->vmcs.page);
	assert_true(vmx->vmcs.launched);
	finish();
}

static void release_clears_and_forgets(void **state)
{
	start();
	vmx_vcpu_release(vcpu);			/* never loaded: nothing to clear */
	assert_int_equal(fake_cpu_count(DO_VMCLEAR), 0);
	for (unsigned current = 0; current < 2; current++) {
		vmx_vcpu_load(vcpu);
		vmx->vmcs.launched = true;
		vmx_vcpu_put(vcpu);
		if (!current)
			cpu.vendor_current = &cpu;
		fake_cpu.step_count = 0;
		vmx_vcpu_release(vcpu);
		assert_int_equal(fake_cpu_step(DO_VMCLEAR, 0)->value, virt_to_phys(vmx->vmcs.page));
		assert_ptr_equal(cpu.vendor_current, current ? NULL : &cpu);
		assert_null(vmx->vmcs.active_on);
		assert_false(vmx->vmcs.launched);	/* VMCLEAR makes the launch state "clear" */
		vmx_vcpu_release(vcpu);
		assert_int_equal(fake_cpu_count(DO_VMCLEAR), 1);
		cpu.vendor_current = NULL;
	}
	finish();
}

/* The processor writes to an active VMCS: its page must not be someone else's by then. */
static void destruction_releases(void **state)
{
	start();
	vmx_vcpu_load(vcpu);
	vmx_vcpu_put(vcpu);
	fake_cpu.step_count = 0;
	finish();
	assert_int_equal(fake_cpu_count(DO_VMCLEAR), 1);
	assert_null(cpu.vendor_current);
}

/* A VMCS that is active on another CPU: loading, clearing or freeing it here would corrupt it. */
static void a_vmcs_of_another_cpu_is_a_defect(void **state)
{
	static struct percpu other;

	start();
	vmx_vcpu_load(vcpu);
	vmx_vcpu_put(vcpu);
	vmx->vmcs.active_on = &other;
	assert_true(panics(vmx_vcpu_load));
	assert_true(panics(vmx_vcpu_release));
	assert_true(panics(vmx_vcpu_destroy));
	vmx->vmcs.active_on = &cpu;
	finish();
}

static void the_preemption_timer_takes_the_deadline(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		power_on();
		if (i)
			vmx_caps.pin &= ~(u32)PIN_PREEMPTION_TIMER;
		new_vcpu();
		vcpu->deadline_in_hardware = i;
		vmx_vcpu_load(vcpu);
		assert_int_equal(vcpu->deadline_in_hardware, !i);
		finish();
	}
}

static void a_refused_instruction_is_a_defect(void **state)
{
	static const enum privileged loading[] = { DO_VMCLEAR, DO_VMPTRLD, DO_INVEPT, DO_INVVPID };

	for (unsigned i = 0; i < ARRAY_SIZE(loading); i++) {
		for (enum vmx_answer answer = VM_FAIL_INVALID; answer <= VM_FAIL_VALID; answer++) {
			start();
			fake_cpu.answers[loading[i]] = answer;
			assert_true(panics(vmx_vcpu_load));
			fake_cpu.answers[loading[i]] = VM_SUCCEED;
			finish();
		}
	}
	start();
	vmx_vcpu_load(vcpu);
	fake_cpu.answers[DO_VMCLEAR] = VM_FAIL_VALID;
	assert_true(panics(vmx_vcpu_release));
	fake_cpu.answers[DO_VMCLEAR] = VM_SUCCEED;
	finish();
}

/* --- registers that stay in the hardware --- */

static const u32 live_msrs[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK, MSR_KERNEL_GS_BASE, MSR_TSC_AUX,
};

static void live_registers_are_loaded_and_saved(void **state)
{
	start();
	for (unsigned i = 0; i < LIVE_MSRS; i++)
		vmx->live_msrs[i] = 0xabc00000000 + i;
	vmx->cr2 = 0x2222;
	for (unsigned i = 0; i < 4; i++)
		vmx->dr[i] = 0x1000 + i;
	vmx->dr6 = 0x6666;
	vmx_vcpu_load(vcpu);
	for (unsigned i = 0; i < LIVE_MSRS; i++)
		assert_int_equal(fake_msr(live_msrs[i])->value, 0xabc00000000 + i);
	assert_int_equal(fake_cpu.cr[2], 0x2222);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fake_cpu.dr[i], 0x1000 + i);
	assert_int_equal(fake_cpu.dr[6], 0x6666);
	assert_int_equal(fpu_restored, 1);

	for (unsigned i = 0; i < fake_cpu.msr_count; i++)
		fake_cpu.msrs[i].value = 0xdef00000000 + fake_cpu.msrs[i].number;
	fake_cpu.cr[2] = 0x3333;
	for (unsigned i = 0; i < 7; i++)
		fake_cpu.dr[i] = 0x2000 + i;
	vmx_vcpu_put(vcpu);
	for (unsigned i = 0; i < LIVE_MSRS; i++)
		assert_int_equal(vmx->live_msrs[i], 0xdef00000000 + live_msrs[i]);
	assert_int_equal(vmx->cr2, 0x3333);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vmx->dr[i], 0x2000 + i);
	assert_int_equal(vmx->dr6, 0x2006);
	assert_int_equal(fpu_saved, 1);
	finish();
}

/* A processor without RDTSCP does not have the MSR. */
static void registers_the_processor_lacks_are_left_alone(void **state)
{
	start();
	cpu_features.rdtscp = false;
	vmx->live_msrs[LIVE_TSC_AUX] = 9;
	vmx_vcpu_load(vcpu);
	assert_int_equal(fake_msr(MSR_TSC_AUX)->value, 0x105);
	vmx_vcpu_put(vcpu);
	assert_int_equal(vmx->live_msrs[LIVE_TSC_AUX], 9);
	vmx_vcpu_load(vcpu);
	vmx_vcpu_reset(vcpu, false);
	assert_int_equal(fake_msr(MSR_TSC_AUX)->value, 0x105);
	finish();
}

/* TSC_AUX is the processor's although this guest's CPUID may hide it: else the next guest would read it. */
static void what_is_switched_depends_on_the_processor_alone(void **state)
{
	start();
	features = 0;
	vmx->live_msrs[LIVE_TSC_AUX] = 9;
	vmx_vcpu_load(vcpu);
	assert_int_equal(fake_msr(MSR_TSC_AUX)->value, 9);
	finish();
}

static void a_first_load_has_power_on_values(void **state)
{
	start();
	assert_int_equal(vmx->fpu.xcr0, 1);
	vmx_vcpu_load(vcpu);
	assert_int_equal(fake_cpu.dr[6], 0xffff0ff0);
	assert_true(vmx->vmcs.filled);
	finish();
}

static void putting_stores_registers(void **state)
{
	start();
	vmx_vcpu_load(vcpu);
	vcpu->regs_available = REGS_LAZY;
	vmx_vcpu_put(vcpu);
	assert_int_equal(stored, 1);
	assert_int_equal(vcpu->regs_available, 0);
	finish();
}

static void a_vcpu_has_its_own_spec_ctrl(void **state)
{
	u64 value = 0;

	start();
	cpu_features.spec_ctrl = true;
	vcpu->spec_ctrl = 5;
	fake_msr(0x48)->value = 0;
	vmx_vcpu_load(vcpu);
	assert_int_equal(spec_ctrl_at_switch, 0);	/* the flushes come first */
	assert_int_equal(fake_msr(0x48)->value, 5);
	fake_msr(0x48)->value = 4;
	vmx_vcpu_put(vcpu);
	assert_int_equal(vcpu->spec_ctrl, 4);
	assert_int_equal(fake_msr(0x48)->value, 0);
	finish();

	/* Power-up clears it where there is one, INIT does not; and it is read and written in the processor. */
	for (unsigned has = 0; has < 2; has++) {
		start();
		cpu_features.spec_ctrl = has;
		vmx_vcpu_load(vcpu);
		fake_msr(0x48)->value = 3;
		assert_int_equal(vmx_msr_get(vcpu, 0x48, &value), has ? 0 : -ENOENT);
		assert_int_equal(value, has ? 3 : 0);
		assert_int_equal(vmx_msr_set(vcpu, 0x48, 7), has ? 0 : -ENOENT);
		vmx_vcpu_reset(vcpu, true);
		assert_int_equal(fake_msr(0x48)->value, has ? 7 : 3);
		vmx_vcpu_reset(vcpu, false);
		assert_int_equal(fake_msr(0x48)->value, has ? 0 : 3);
		finish();
		value = 0;
	}
}

static void each_load_names_the_vm(void **state)
{
	start();
	vmx_vcpu_load(vcpu);
	assert_int_equal(vm_switched_to, 4);
	finish();
}

/* --- PAUSE --- */

/* SDM, "PAUSE-Loop Exiting": bit 10 of the secondary controls; PLE_Gap and PLE_Window. Off until someone asks. */
static void pause_loops_exit_on_demand(void **state)
{
	for (unsigned has = 0; has < 2; has++) {
		u32 others;

		power_on();
		others = vmx_caps.secondary;
		vmx_caps.secondary |= has ? BIT(10) : 0;
		new_vcpu();
		vmx_vcpu_load(vcpu);
		assert_int_equal(FAKE(SECONDARY_CONTROLS), others);
		assert_int_equal(fake_vmcs_written[0x4020], has);
		assert_int_equal(fake_vmcs_written[0x4022], has);
		if (has) {
			assert_int_equal(fake_vmcs[0x4020], 128);
			assert_int_equal(fake_vmcs[0x4022], 4096);
		}
		vmx_pause_exits(vcpu, true);
		assert_int_equal(FAKE(SECONDARY_CONTROLS), others | (has ? BIT(10) : 0));
		vmx_vcpu_reset(vcpu, true);
		assert_int_equal(FAKE(SECONDARY_CONTROLS), others | (has ? BIT(10) : 0));
		vmx_pause_exits(vcpu, false);
		assert_int_equal(FAKE(SECONDARY_CONTROLS), others);
		finish();
	}
}

/* --- reset --- */

/* SDM, "Processor State After Reset", table "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT" */
static void reset_gives_the_manuals_state(void **state)
{
	start();
	vmx_vcpu_load(vcpu);
	memset(fake_vmcs, 0xcc, sizeof(fake_vmcs));
	vmx_vcpu_reset(vcpu, false);
	{
		static const struct expected fields[] = {
			{ 0x681a, 0x400 }, { 0x2802, 0 }, { 0x482a, 0 }, { 0x6824, 0 }, { 0x6826, 0 },
			{ 0x4826, 0 }, { 0x4824, 0 }, { 0x6822, 0 }, { 0x4016, 0 },
			/* selectors */
			{ 0x0800, 0 }, { 0x0802, 0xf000 }, { 0x0804, 0 }, { 0x0806, 0 }, { 0x0808, 0 },
			{ 0x080a, 0 }, { 0x080c, 0 }, { 0x080e, 0 },
			/* limits, GDTR and IDTR last */
			{ 0x4800, 0xffff }, { 0x4802, 0xffff }, { 0x4804, 0xffff }, { 0x4806, 0xffff },
			{ 0x4808, 0xffff }, { 0x480a, 0xffff }, { 0x480c, 0xffff }, { 0x480e, 0xffff },
			{ 0x4810, 0xffff }, { 0x4812, 0xffff },
			/* access rights: accessed data and code, LDT, busy TSS */
			{ 0x4814, 0x93 }, { 0x4816, 0x9b }, { 0x4818, 0x93 }, { 0x481a, 0x93 },
			{ 0x481c, 0x93 }, { 0x481e, 0x93 }, { 0x4820, 0x82 }, { 0x4822, 0x8b },
			/* bases */
			{ 0x6806, 0 }, { 0x6808, 0xffff0000 }, { 0x680a, 0 }, { 0x680c, 0 },
			{ 0x680e, 0 }, { 0x6810, 0 }, { 0x6812, 0 }, { 0x6814, 0 }, { 0x6816, 0 },
			{ 0x6818, 0 },
			{ 0x6802, 0 }, { 0x6004, 0x60000010 }, { 0x6006, 0 }, { 0x2806, 0 },
			{ 0x2804, 0x0007040600070406 },
		};

		assert_fields(fields, ARRAY_SIZE(fields));
	}
	assert_int_equal(vmx_control_get(vcpu, CTL_CR0), 0x60000010);	/* CD, NW, ET */
	assert_int_equal(vmx_control_get(vcpu, CTL_CR4), 0);
	assert_int_equal(vmx->vmcs.efer, 0);
	finish();
}

/* PDPTEs are loaded by writes to CR0, CR3 and CR4 while PAE paging is on: a reset switches it off first. */
static void reset_loads_no_pdptes(void **state)
{
	start();
	vmx_vcpu_load(vcpu);
	memset(fake_vmcs, 0xff, sizeof(fake_vmcs));
	vmx_vcpu_reset(vcpu, false);
	for (unsigned i = 0; i < 4; i++)
		assert_false(WRITTEN(guest_pdpte(i)));
	finish();
}

static void reset_gives_the_manuals_registers(void **state)
{
	start();
	vmx_vcpu_load(vcpu);
	for (unsigned i = 0; i < ARRAY_SIZE(vcpu->regs); i++)
		vcpu->regs[i] = 0x1111;
	vcpu->regs_available = vcpu->regs_dirty = 0;
	vmx_vcpu_reset(vcpu, false);
	for (unsigned i = REG_RAX; i <= REG_R15; i++)
		assert_int_equal(vcpu->regs[i], i == REG_RDX ? 0x000906ea : 0);	/* the signature in EDX */
	assert_int_equal(vcpu->regs[REG_RIP], 0xfff0);
	assert_int_equal(vcpu->regs[REG_RFLAGS], 2);
	assert_int_equal(vcpu->regs_available, REGS_LAZY);
	assert_int_equal(vcpu->regs_dirty, REGS_LAZY);
	finish();
}

/*
 * SDM, table "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT": INIT leaves XCR0, the FPU and
 * the MSRs alone, and CD and NW of CR0; debug registers, CR2 and all else are as after a reset.
 */
static void live_registers_after_reset_and_init(void **state)
{
	for (unsigned init = 0; init < 2; init++) {
		start();
		vmx_vcpu_load(vcpu);
		for (unsigned i = 0; i < LIVE_MSRS; i++)
			fake_msr(live_msrs[i])->value = 0x77;
		for (unsigned i = 0; i < 7; i++)
			fake_cpu.dr[i] = 0x77;
		fake_cpu.cr[2] = 0x77;
		vmx_vcpu_reset(vcpu, init);
		for (unsigned i = 0; i < LIVE_MSRS; i++)
			assert_int_equal(fake_msr(live_msrs[i])->value, init ? 0x77 : 0);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(fake_cpu.dr[i], 0);
		assert_int_equal(fake_cpu.dr[6], 0xffff0ff0);
		assert_int_equal(fake_cpu.cr[2], 0);
		assert_int_equal(fpu_initial, !init);
		finish();
	}
}

static void init_keeps_what_the_manual_says(void **state)
{
	static const struct expected kept[] = {
		{ 0x482a, 0x11 }, { 0x6824, 0x22 }, { 0x6826, 0x33 },	/* SYSENTER_CS, ESP, EIP */
		{ 0x2804, 0x0007050600070406 },				/* PAT */
	}, set[] = {
		{ 0x681a, 0x400 }, { 0x2806, 0 }, { 0x6802, 0 }, { 0x0802, 0xf000 }, { 0x6808, 0xffff0000 },
		{ 0x4810, 0xffff }, { 0x6816, 0 }, { 0x4812, 0xffff }, { 0x6818, 0 }, { 0x4820, 0x82 },
		{ 0x680e, 0 }, { 0x6810, 0 },		/* FS and GS bases are segments', not MSRs' */
		{ 0x4824, 0 }, { 0x4826, 0 }, { 0x6822, 0 },
	};

	for (unsigned caches = 0; caches < 4; caches++) {
		u64 cd_nw = (u64)caches << 29;

		start();
		vmx_vcpu_load(vcpu);
		vmx_vcpu_reset(vcpu, false);
		vmx_control_set(vcpu, CTL_CR0, CR0_PE | CR0_WP | CR0_TS | cd_nw);
		vmx_control_set(vcpu, CTL_CR4, CR4_PAE);
		vmx_control_set(vcpu, CTL_EFER, EFER_LME | EFER_SCE);
		memset(fake_vmcs + 0x6806, 0x55, 14 * sizeof(u64));	/* bases */
		for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
			fake_vmcs[kept[i].encoding] = kept[i].value;
		fake_cpu.step_count = 0;
		vmx_vcpu_reset(vcpu, true);
		assert_fields(kept, ARRAY_SIZE(kept));
		assert_fields(set, ARRAY_SIZE(set));
		assert_int_equal(vmx_control_get(vcpu, CTL_CR0), 0x10 | cd_nw);
		assert_int_equal(vmx_control_get(vcpu, CTL_CR4), 0);
		assert_int_equal(vmx->vmcs.efer, 0);
		assert_int_equal(vcpu->regs[REG_RIP], 0xfff0);
		assert_int_equal(vcpu->regs[REG_RDX], 0x000906ea);
		assert_true(fake_cpu_count(DO_INVVPID));		/* translations of the time before */
		finish();
	}
}

/* Windows that were open, an NMI handler that ran, long mode: a reset ends them. */
static void reset_forgets_what_was_going_on(void **state)
{
	start();
	vmx_vcpu_load(vcpu);
	vmx_interrupt_window(vcpu, true);
	vmx_nmi_window(vcpu, true);
	vmx->nmi_blocked = true;
	vmx->vmcs.efer = EFER_LME | EFER_LMA;
	vmx->vmcs.entry_controls |= ENTRY_IA32E_GUEST;
	vmx_vcpu_reset(vcpu, false);
	assert_false(vmx->vmcs.want_irq_window || vmx->vmcs.want_nmi_window || vmx->nmi_blocked);
	assert_int_equal(FAKE(PRIMARY_CONTROLS), vmx_caps.primary);
	assert_int_equal(FAKE(ENTRY_CONTROLS), vmx_caps.entry & ~(u32)ENTRY_IA32E_GUEST);
	assert_int_equal(vmx->vmcs.efer, 0);
	finish();
}

/* --- EPT --- */

/* SDM, "Format of an EPT Page-Table Entry that Maps a 4-KByte Page": read, write, execute; type 6; ignore PAT. */
static void ept_entries_are_write_back_and_allow_all(void **state)
{
	static const struct {
		u64 sizes;
		u8 largest;
	} cases[] = {
		{ 0, TDP_4K }, { BIT_ULL(16), TDP_2M }, { BIT_ULL(17) | BIT_ULL(16), TDP_1G },
		{ BIT_ULL(17), TDP_1G },
	};
	struct tdp_format format;

	power_on();
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		vmx_caps.ept_vpid = cases[i].sizes;
		ept_format(&vm, &format);
		assert_int_equal(format.table_bits, 0x7);
		assert_int_equal(format.page_bits, 0x77);
		assert_int_equal(format.large_bits, 0x77);
		vm.tdp_reserve = 1;			/* code is to be split: no execute permission */
		ept_format(&vm, &format);
		assert_int_equal(format.page_bits, 0x77);
		assert_int_equal(format.large_bits, 0x73);
		assert_int_equal(format.largest, cases[i].largest);
		vm.tdp_reserve = 0;
	}
}

/* --- the MSR bitmap --- */

static void new_vm(void)
{
	power_on();
	vm.vendor = NULL;
	root_error = 0;
	assert_int_equal(vmx_vm_create(&vm), 0);
}

/* EFER is C0000080H: the register has the guest's value while the guest runs. */
static void assert_all_but_reads_of_efer_exit(void)
{
	const u8 *bitmap = vm.vendor;

	for (unsigned i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(bitmap[i], i == 0x400 + 0x80 / 8 ? 0xfe : 0xff);
}

static void all_msrs_of_a_new_vm_but_reads_of_efer_exit(void **state)
{
	new_vm();
	assert_all_but_reads_of_efer_exit();
	assert_int_equal(vm.tdp_root, TDP_ROOT);
	vmx_vm_destroy(&vm);
	assert_null(vm.vendor);
	assert_int_equal(vm.tdp_root, 0);
	assert_int_equal(pages, 0);
	vmx_vm_destroy(&vm);		/* as after a failure */
	assert_int_equal(pages, 0);
}

static void a_vm_without_memory_is_not_created(void **state)
{
	power_on();
	vm.vendor = NULL;
	page_limit = 0;
	assert_int_equal(vmx_vm_create(&vm), -ENOMEM);
	page_limit = 100;
	root_error = -ENOMEM;
	assert_int_equal(vmx_vm_create(&vm), -ENOMEM);
	vmx_vm_destroy(&vm);
	assert_int_equal(pages, 0);
}

/* SDM, "MSR-Bitmap Address": 1 KiB each for reads of low and high MSRs, then for writes. */
static void one_bit_per_msr_is_cleared(void **state)
{
	static const struct {
		u32 msr;
		int bit;	/* of the quarter; -1: the MSR is in no bitmap and exits always */
		u32 quarter;	/* offset of the reads' */
	} cases[] = {
		{ 0, 0, 0 }, { 0x10, 0x10, 0 }, { 0x277, 0x277, 0 }, { 0x1fff, 0x1fff, 0 }, { 0x2000, -1, 0 },
		{ 0xbfffffff, -1, 0 }, { 0xc0000000, 0, 0x400 }, { 0xc0000103, 0x103, 0x400 },
		{ 0xc0001fff, 0x1fff, 0x400 }, { 0xc0002000, -1, 0 }, { 0xffffffff, -1, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned access = 0; access < 4; access++) {
			u8 *bitmap;

			new_vm();
			bitmap = vm.vendor;
			vmx_vm_msr_passthrough(&vm, cases[i].msr, access & 1, access & 2);
			for (unsigned write = 0; write < 2; write++) {
				u32 at = cases[i].quarter + write * 0x800 + (u32)cases[i].bit / 8;
				u8 mask = (u8)BIT(cases[i].bit & 7);

				if (cases[i].bit < 0 || !(access & (write ? 2 : 1)))
					continue;
				assert_int_equal(bitmap[at], 0xff & ~mask);
				bitmap[at] |= mask;
			}
			assert_all_but_reads_of_efer_exit();
			vmx_vm_destroy(&vm);
		}
	}
}

/* The register would be the host's. */
static void pat_exits_unless_the_vmcs_switches_it(void **state)
{
	new_vm();
	vmx_caps.exit &= ~(u32)EXIT_SAVE_PAT;
	vmx_vm_msr_passthrough(&vm, MSR_PAT, true, true);
	assert_all_but_reads_of_efer_exit();
	vmx_vm_msr_passthrough(&vm, MSR_PAT + 1, true, false);
	assert_int_equal(((u8 *)vm.vendor)[0x278 / 8], 0xfe);
	vmx_vm_destroy(&vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_vmcs_names_the_revision),
		cmocka_unit_test(efer_lists_replace_missing_fields),
		cmocka_unit_test(creation_without_memory_leaves_nothing),
		cmocka_unit_test(a_hypervisors_vcpu),
		cmocka_unit_test(host_state_is_this_cpus),
		cmocka_unit_test(controls_are_the_capabilities),
		cmocka_unit_test(fields_without_their_control_are_not_written),
		cmocka_unit_test(efer_lists_hold_one_msr_each),
		cmocka_unit_test(hidden_instructions_are_switched_off),
		cmocka_unit_test(vpids_are_the_cpus_and_never_0),
		cmocka_unit_test(a_vpid_is_kept_where_it_is_valid),
		cmocka_unit_test(ept_is_flushed_when_it_is_new_on_a_cpu),
		cmocka_unit_test(a_guests_own_flush_is_of_its_vpid),
		cmocka_unit_test(without_vpids_entries_flush),
		cmocka_unit_test(only_a_new_vmcs_is_cleared_and_filled),
		cmocka_unit_test(a_vmcs_stays_active_until_it_is_released),
		cmocka_unit_test(release_clears_and_forgets),
		cmocka_unit_test(destruction_releases),
		cmocka_unit_test(a_vmcs_of_another_cpu_is_a_defect),
		cmocka_unit_test(the_preemption_timer_takes_the_deadline),
		cmocka_unit_test(a_refused_instruction_is_a_defect),
		cmocka_unit_test(live_registers_are_loaded_and_saved),
		cmocka_unit_test(registers_the_processor_lacks_are_left_alone),
		cmocka_unit_test(a_first_load_has_power_on_values),
		cmocka_unit_test(what_is_switched_depends_on_the_processor_alone),
		cmocka_unit_test(putting_stores_registers),
		cmocka_unit_test(a_vcpu_has_its_own_spec_ctrl),
		cmocka_unit_test(each_load_names_the_vm),
		cmocka_unit_test(pause_loops_exit_on_demand),
		cmocka_unit_test(reset_gives_the_manuals_state),
		cmocka_unit_test(reset_loads_no_pdptes),
		cmocka_unit_test(reset_gives_the_manuals_registers),
		cmocka_unit_test(live_registers_after_reset_and_init),
		cmocka_unit_test(init_keeps_what_the_manual_says),
		cmocka_unit_test(reset_forgets_what_was_going_on),
		cmocka_unit_test(ept_entries_are_write_back_and_allow_all),
		cmocka_unit_test(all_msrs_of_a_new_vm_but_reads_of_efer_exit),
		cmocka_unit_test(a_vm_without_memory_is_not_created),
		cmocka_unit_test(one_bit_per_msr_is_cleared),
		cmocka_unit_test(pat_exits_unless_the_vmcs_switches_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
