/* SPDX-License-Identifier: MIT */
/* Loading a vCPU on a CPU, and putting it, under SVM. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "core/cpu/speculation.h"
#include "svm/nested/nested.h"
#include "svm/svm.h"

/*
 * Registers that VMRUN does not switch, and that Lamina does not use: while a vCPU is loaded they hold its values.
 * CR2 is in the VMCB, but Bochs 2.7 forgets to load it at VMRUN.
 */
static void load_live_registers(const struct vcpu_svm *svm)
{
	__asm__ volatile("mov %0, %%db0; mov %1, %%db1; mov %2, %%db2; mov %3, %%db3"
			 : : "r"(svm->dr[0]), "r"(svm->dr[1]), "r"(svm->dr[2]), "r"(svm->dr[3]));
	if (cpu_features.rdtscp)
		wrmsr(MSR_TSC_AUX, svm->tsc_aux);
	write_cr2(svm->vmcb->save.cr2);
}

static void save_live_registers(struct vcpu_svm *svm)
{
	u64 *dr = svm->dr;

	__asm__ volatile("mov %%db0, %0; mov %%db1, %1; mov %%db2, %2; mov %%db3, %3"
			 : "=&r"(dr[0]), "=&r"(dr[1]), "=&r"(dr[2]), "=&r"(dr[3]));
	if (cpu_features.rdtscp)
		svm->tsc_aux = rdmsr(MSR_TSC_AUX);
}

void svm_reset_debug_registers(void)
{
	__asm__ volatile("mov %0, %%db0; mov %0, %%db1; mov %0, %%db2; mov %0, %%db3" : : "r"(0ull));
}

/* An ASID is taken only once in a generation: nothing in the TLB bears it, unless the ids have just begun anew. */
static __always_inline void choose_tlb_id(struct vcpu_svm *svm, struct percpu *cpu)
{
	struct vmcb_control *control = &svm->vmcb->control;
	enum tlb_id_change change = tlb_id_assign(&svm->tlb_id, cpu, svm_features.asids);

	if (change != TLB_ID_KEPT) {
		control->asid = svm->tlb_id.id;
		svm_dirty(svm, CLEAN_ASID);
	}
	if (change == TLB_ID_NEW_FLUSH_ALL || cpu->tlb_flush_pending)
		control->tlb_control = TLB_FLUSH_ALL;
	cpu->tlb_flush_pending = false;
}

void svm_choose_tlb_id(struct vcpu_svm *svm, struct percpu *cpu)
{
	choose_tlb_id(svm, cpu);
}

/* The processor may have kept state of the VMCB since its last VMRUN here, but not since one on another CPU. */
static void come_to(struct vcpu_svm *svm, struct percpu *cpu)
{
	BUG_ON(svm->bound_to);
	svm->bound_to = cpu;
	svm->host_vmcb_pa = cpu->host_vmcb_pa;
	svm->vmcb->control.clean = 0;
	if (unlikely(svm->nested))
		nsvm_come_to_cpu(svm);
}

void svm_vcpu_load(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct percpu *cpu = this_cpu();

	if (unlikely(svm->bound_to != cpu))
		come_to(svm, cpu);
	choose_tlb_id(svm, cpu);
	fpu_restore(&svm->fpu);
	load_live_registers(svm);
	speculation_switch_vm(cpu, vcpu->vm->id);
	if (!svm_features.spec_ctrl)
		speculation_load_guest(vcpu->spec_ctrl);
}

/* A flush of the whole TLB waits for an entry. If this vCPU made none, the next one loaded here must ask for it. */
void svm_vcpu_put(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (unlikely(svm->vmcb->control.tlb_control == TLB_FLUSH_ALL))
		this_cpu()->tlb_flush_pending = true;
	save_live_registers(svm);
	if (!svm_features.spec_ctrl)
		vcpu->spec_ctrl = speculation_save_guest();
	fpu_save(&svm->fpu);
}

void svm_vcpu_release(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	BUG_ON(svm->bound_to && svm->bound_to != this_cpu());
	svm->bound_to = NULL;
}

void svm_flush_translations(struct vcpu *vcpu)
{
	svm_flush_tlb(to_svm(vcpu));
	if (unlikely(to_svm(vcpu)->nested))
		nsvm_forget_asid(to_svm(vcpu), 0);
}
