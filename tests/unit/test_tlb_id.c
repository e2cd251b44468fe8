/* SPDX-License-Identifier: MIT */
/*
 * VPIDs and ASIDs: the allocator, and both vendors' vcpu_load() with it on CPUs whose TLBs keep each translation
 * until they are told to flush it. No vCPU may ever find one of another vCPU, VM or life there.
 */
/* link: core/cpu/tlb_id.c svm/switch.c tests/unit/fake_nsvm.c vmx/switch.c vmx/ept.c tests/unit/fake_cpu.c tests/unit/fake_vmcs.c */
#include "tests/unit/fake_cpu.h"

#include <stdlib.h>
#include <string.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/gdt.h"
#include "arch/fault/panic.h"
#include "arch/fault/trap.h"
#include "core/cpu/speculation.h"
#include "core/cpu/tlb_id.h"
#include "core/mem/tdp.h"
#include "svm/svm.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/nested/nested.h"
#include "vmx/vmx.h"

#define CPUS  3u
#define VMS   3u
#define VCPUS 2u		/* of each VM */
#define ROOTS 4u		/* pages that tables of VMs are in, one after the other */
#define STEPS 20000u

struct cpu_features cpu_features;
struct svm_features svm_features;
struct vmx_caps vmx_caps;

/* No guest is a hypervisor here. */
void nested_vmx_forget(struct vcpu *v) { fail(); }
void nested_forget_apic_access(struct vcpu *v) { fail(); }
void nested_shadowing_release(struct vcpu_vmx *v) { }
const u8 vmx_exit_point[1];

static struct percpu cpus[CPUS], *running;
static unsigned shadows_flushed;

/* --- the rest of Lamina --- */

struct percpu *this_cpu(void) { return running; }
void fpu_save(struct fpu_state *state) { }
void fpu_restore(const struct fpu_state *state) { }
void speculation_switch_vm(struct percpu *cpu, u32 vm_id) { }
void vmx_write_controls(struct vcpu_vmx *v) { }
void vmx_store_dirty_regs(struct vcpu *v) { }
void vmcs_write_list(const struct vmcs_setting *settings, unsigned count) { }
u64 gdt_base(const struct percpu *cpu) { return 0; }
u64 tss_base(const struct percpu *cpu) { return 0; }
u64 idt_base(void) { return 0; }
void shadow_flush_all(struct shadow *shadow) { shadows_flushed++; }
int tdp_map(struct vm *v, const struct tdp_format *format, gpa_t gpa, hpa_t hpa, u64 size) { return -EBUSY; }

void panic(const char *format, ...)
{
	fail_msg("panic: %s", format);
	__builtin_unreachable();
}

/* --- the allocator --- */

static void each_cpu_gives_its_ids_once_in_a_generation(void **state)
{
	struct tlb_id ids[4] = { 0 };

	memset(cpus, 0, sizeof(cpus));
	assert_int_equal(tlb_id_assign(&ids[0], &cpus[0], 3), TLB_ID_NEW_FLUSH_ALL);
	assert_int_equal(tlb_id_assign(&ids[1], &cpus[0], 3), TLB_ID_NEW);
	assert_int_equal(tlb_id_assign(&ids[0], &cpus[0], 3), TLB_ID_KEPT);
	assert_int_equal(ids[0].id, 1);
	assert_int_equal(ids[1].id, 2);
	assert_int_equal(tlb_id_assign(&ids[2], &cpus[0], 3), TLB_ID_NEW_FLUSH_ALL);
	assert_int_equal(ids[2].id, 1);
	assert_int_equal(tlb_id_assign(&ids[0], &cpus[0], 3), TLB_ID_NEW);	/* its id was of the last generation */
	assert_int_equal(ids[0].id, 2);

	assert_int_equal(tlb_id_assign(&ids[0], &cpus[1], 3), TLB_ID_NEW_FLUSH_ALL);
	assert_int_equal(tlb_id_assign(&ids[0], &cpus[0], 3), TLB_ID_NEW_FLUSH_ALL);	/* not the one it had here */
	tlb_id_restart(&cpus[0]);
	assert_int_equal(tlb_id_assign(&ids[0], &cpus[0], 3), TLB_ID_NEW_FLUSH_ALL);
}

/* The least that SVM allows: 0 and 1. */
static void one_id_for_all_is_flushed_each_time(void **state)
{
	struct tlb_id ids[2] = { 0 };

	memset(cpus, 0, sizeof(cpus));
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(tlb_id_assign(&ids[i & 1], &cpus[0], 2), TLB_ID_NEW_FLUSH_ALL);
		assert_int_equal(ids[i & 1].id, 1);
		assert_int_equal(tlb_id_assign(&ids[i & 1], &cpus[0], 2), TLB_ID_KEPT);
	}
}

/* --- TLBs that forget nothing --- */

struct translation {
	u64 owner;		/* the life of a vCPU or VM; 0: none */
	u64 root;
};

static struct {
	struct translation by_id[4], by_root[ROOTS];
} tlbs[CPUS];

static struct vm vms[VMS];
static u64 vm_life[VMS], vcpu_life[VMS][VCPUS], lives;
static struct vcpu_vmx vmx[VMS][VCPUS];
static struct vcpu_svm svm[VMS][VCPUS];
static struct vmcb vmcbs[VMS][VCPUS];
static u8 vmcs_pages[VMS][VCPUS][PAGE_SIZE] __aligned(PAGE_SIZE);

static u64 root_page(unsigned i)
{
	return 0x10000ull + i * PAGE_SIZE;
}

static unsigned root_index(u64 root)
{
	return (unsigned)((root - 0x10000) / PAGE_SIZE);
}

/* The guest runs, and the TLB gets a translation of its own. */
static void use_tlb(unsigned cpu, u32 id, u64 owner, u64 root, u64 vm)
{
	struct translation *by_id = &tlbs[cpu].by_id[id & 3], *by_root = &tlbs[cpu].by_root[root_index(root)];

	assert_int_not_equal(id, 0);
	if (by_id->owner && by_id->owner != owner)
		fail_msg("CPU %u, id %u: a translation of another vCPU", cpu, id);
	if (vm && by_root->owner && by_root->owner != vm)
		fail_msg("CPU %u, tables at 0x%llx: a translation of another VM", cpu, (ull)root);
	*by_id = (struct translation){ owner, root };
	*by_root = (struct translation){ vm, root };
}

static void flush_ids(unsigned cpu)
{
	memset(tlbs[cpu].by_id, 0, sizeof(tlbs[cpu].by_id));
}

static void flush_root(unsigned cpu, u64 root)
{
	tlbs[cpu].by_root[root_index(root)].owner = 0;
	for (unsigned i = 0; i < 4; i++) {
		if (tlbs[cpu].by_id[i].root == root)
			tlbs[cpu].by_id[i].owner = 0;
	}
}

static void new_life(unsigned vm, void (*create)(unsigned vm, unsigned vcpu))
{
	unsigned root;
	bool taken;

	do {
		root = (unsigned)rand() % ROOTS;
		taken = false;
		for (unsigned i = 0; i < VMS; i++)
			taken |= i != vm && vms[i].tdp_root == root_page(root);
	} while (taken);
	vms[vm].tdp_root = root_page(root);
	vm_life[vm] = ++lives;
	for (unsigned i = 0; i < VCPUS; i++) {
		vcpu_life[vm][i] = ++lives;
		create(vm, i);
	}
}

static void start(void)
{
	memset(cpus, 0, sizeof(cpus));
	memset(tlbs, 0, sizeof(tlbs));
	memset(vms, 0, sizeof(vms));
	memset(vmx, 0, sizeof(vmx));
	memset(svm, 0, sizeof(svm));
	srand(1);
}

/* --- VMX --- */

static void release_vmx(struct vcpu_vmx *v)
{
	if (!v->vmcs.active_on)
		return;
	running = v->vmcs.active_on;
	vmx_vcpu_release(&v->vcpu);
}

static void create_vmx(unsigned vm, unsigned vcpu)
{
	struct vcpu_vmx *v = &vmx[vm][vcpu];

	release_vmx(v);
	*v = (struct vcpu_vmx){ .vmcs.page = vmcs_pages[vm][vcpu], .vcpu.vm = &vms[vm] };
}

/* "INVVPID", "INVEPT". Without VPIDs each entry and exit flushes what INVVPID would. */
static void obey(unsigned cpu)
{
	const struct privileged_step *step;

	for (unsigned i = 0; (step = fake_cpu_step(DO_INVVPID, i)); i++) {
		if (step->number == 2)
			flush_ids(cpu);
		else
			tlbs[cpu].by_id[step->value & 3].owner = 0;
	}
	for (unsigned i = 0; (step = fake_cpu_step(DO_INVEPT, i)); i++)
		flush_root(cpu, step->value & ~0xfffull);
	fake_cpu.step_count = 0;
}

/* 3 VPIDs: 1, fffeh, ffffh. */
static void make_vpids_scarce(struct percpu *cpu)
{
	if (cpu->tlb_id_next > 1 && cpu->tlb_id_next < 0xfffe)
		cpu->tlb_id_next = 0xfffe;
}

static void vmx_finds_no_stale_translation(void **state)
{
	for (unsigned vpids = 0; vpids < 2; vpids++) {
		start();
		vmx_caps = (struct vmx_caps){
			.entry = ENTRY_LOAD_EFER, .exit = EXIT_LOAD_EFER,
			.secondary = vpids ? SECONDARY_VPID : 0, .ept_vpid = EPT_INVEPT_SINGLE | EPT_INVVPID_SINGLE,
		};
		for (unsigned i = 0; i < VMS; i++)
			new_life(i, create_vmx);
		for (unsigned i = 0; i < STEPS; i++) {
			unsigned vm = (unsigned)rand() % VMS, n = (unsigned)rand() % VCPUS, cpu = (unsigned)rand() % CPUS;
			struct vcpu_vmx *v = &vmx[vm][n];

			if (rand() % 50 == 0)
				new_life(vm, create_vmx);
			if (v->vmcs.active_on != &cpus[cpu])
				release_vmx(v);
			fake_cpu.step_count = 0;
			running = &cpus[cpu];
			make_vpids_scarce(running);
			vmx_vcpu_load(&v->vcpu);
			obey(cpu);
			if (rand() % 4) {
				if (!vpids)
					flush_ids(cpu);
				use_tlb(cpu, v->vmcs.tlb_id.id, vcpu_life[vm][n], vms[vm].tdp_root, vm_life[vm]);
			}
			vmx_vcpu_put(&v->vcpu);
		}
	}
}

/* The tables that L2 runs on have roots of their own, and CPUs know nothing of what happened to them elsewhere. */
static void vmx_flushes_shadow_tables_on_each_new_cpu(void **state)
{
	static const unsigned way[] = { 0, 1, 0, 2 };
	struct vcpu_vmx *v = &vmx[0][0];
	struct nested_vmx nested = { .vmxon = false };

	start();
	vmx_caps = (struct vmx_caps){
		.entry = ENTRY_LOAD_EFER, .exit = EXIT_LOAD_EFER,
		.secondary = SECONDARY_VPID, .ept_vpid = EPT_INVEPT_SINGLE | EPT_INVVPID_SINGLE,
	};
	new_life(0, create_vmx);
	v->nested = &nested;
	shadows_flushed = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(way); i++) {
		running = &cpus[way[i]];
		vmx_vcpu_load(&v->vcpu);
		assert_int_equal(shadows_flushed, i + 1);
		vmx_vcpu_put(&v->vcpu);
		vmx_vcpu_load(&v->vcpu);
		assert_int_equal(shadows_flushed, i + 1);	/* it has not been away */
		vmx_vcpu_put(&v->vcpu);
		release_vmx(v);
		fake_cpu.step_count = 0;
	}
}

/* --- SVM: nested tables have no tag of their own --- */

static void create_svm(unsigned vm, unsigned vcpu)
{
	struct vcpu_svm *v = &svm[vm][vcpu];

	memset(&vmcbs[vm][vcpu], 0, sizeof(vmcbs[vm][vcpu]));
	*v = (struct vcpu_svm){ .vmcb = &vmcbs[vm][vcpu], .vcpu.vm = &vms[vm] };
}

/* "TLB Control" */
static void enter_svm(unsigned cpu, struct vmcb_control *control)
{
	assert_true(control->asid < svm_features.asids);
	if (control->tlb_control == 1)
		flush_ids(cpu);
	if (control->tlb_control == 3)
		tlbs[cpu].by_id[control->asid].owner = 0;
	control->tlb_control = 0;
}

static void svm_finds_no_stale_translation(void **state)
{
	static const u32 asids[] = { 2, 3, 4 };

	for (unsigned row = 0; row < ARRAY_SIZE(asids); row++) {
		start();
		svm_features = (struct svm_features){ .asids = asids[row], .flush_by_asid = true };
		for (unsigned i = 0; i < VMS; i++)
			new_life(i, create_svm);
		for (unsigned i = 0; i < STEPS; i++) {
			unsigned vm = (unsigned)rand() % VMS, n = (unsigned)rand() % VCPUS, cpu = (unsigned)rand() % CPUS;
			struct vcpu_svm *v = &svm[vm][n];

			if (rand() % 50 == 0)
				new_life(vm, create_svm);
			if (v->bound_to && v->bound_to != &cpus[cpu]) {
				running = v->bound_to;
				svm_vcpu_release(&v->vcpu);
			}
			fake_cpu.step_count = 0;
			running = &cpus[cpu];
			svm_vcpu_load(&v->vcpu);
			if (rand() % 4) {		/* else it is put again before it has entered */
				enter_svm(cpu, &v->vmcb->control);
				use_tlb(cpu, v->vmcb->control.asid, vcpu_life[vm][n], vms[vm].tdp_root, 0);
			}
			svm_vcpu_put(&v->vcpu);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cpu_gives_its_ids_once_in_a_generation),
		cmocka_unit_test(one_id_for_all_is_flushed_each_time),
		fake_cpu_test_setup(vmx_finds_no_stale_translation, NULL),
		fake_cpu_test_setup(vmx_flushes_shadow_tables_on_each_new_cpu, NULL),
		fake_cpu_test_setup(svm_finds_no_stale_translation, NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
