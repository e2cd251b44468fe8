/* SPDX-License-Identifier: MIT */
/*
 * L1's nested paging: L2 runs with shadow tables, which are built when L2 faults. Without it L2's physical
 * addresses are L1's, and L2 runs with the VM's own tables. AMD APM vol. 2, "Nested Paging", "Nested Table
 * Walk", "Nested versus Guest Page Faults, Fault Ordering".
 */
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "core/cpu/cpuid.h"
#include "core/emulate/emulate.h"
#include "core/exit.h"
#include "core/mem/shadow.h"
#include "lib/string.h"
#include "svm/nested/nested.h"

/* The processor walks nested tables with user accesses. */
static const struct shadow_format format = {
	.table_bits = PTE_PRESENT | PTE_WRITE | PTE_USER,
	.page_bits = PTE_PRESENT | PTE_WRITE | PTE_USER,
	.write = PTE_WRITE,
	.no_execute = PTE_NX,
	.flush_on_switch = true,
};

int nsvm_paging_create(struct vm *vm, struct vcpu_svm *svm)
{
	svm->nested->shadow = shadow_create(&svm->vcpu, &format, shadow_pages(vm->config->memory));
	return svm->nested->shadow ? 0 : -ENOMEM;
}

/* Nested tables have the format of the host's own, by the mode that L1 is in at VMRUN. */
static void read_tables(struct vcpu *vcpu, struct nested_tables *tables)
{
	const struct svm_nested *nested = to_svm(vcpu)->nested;
	const struct vmcb_save *host = &nested->parked[LEVEL_L1].vmcb->save;
	u64 ncr3 = nested->vmcb12.control.nested_cr3;

	memset(tables, 0, sizeof(*tables));
	tables->tag = nested->vmcb12.control.asid;
	tables->physical_bits = cpuid_physical_bits(vcpu);
	tables->accessed_dirty = true;
	tables->no_execute = host->efer & EFER_NXE;
	tables->pages_1g = cpu_features.pages_1g;
	tables->page_size = host->cr4 & CR4_PSE;
	if (host->efer & EFER_LMA) {
		tables->format = NESTED_LONG;
		tables->levels = host->cr4 & CR4_LA57 ? 5 : 4;
		tables->root = ncr3 & PTE_ADDRESS;
	} else if (host->cr4 & CR4_PAE) {
		tables->format = NESTED_PAE;
		tables->levels = 3;
		tables->root = ncr3 & 0xffffffe0;
	} else {
		tables->format = NESTED_LEGACY;
		tables->levels = 2;
		tables->root = ncr3 & 0xfffff000;
	}
}

void nsvm_paging_enter(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (!nsvm_paging(svm->nested))
		return;
	read_tables(vcpu, &svm->nested->tables);
	svm->vmcb->control.nested_cr3 = shadow_use(svm->nested->shadow, &svm->nested->tables);
}

void nsvm_paging_flush(struct vcpu_svm *svm)
{
	struct svm_nested *nested = svm->nested;

	if (nested->flush || (nsvm_paging(nested) && shadow_flush_due(nested->shadow)))
		svm_flush_tlb(svm);
	nested->flush = false;
}

void nsvm_forget_asid(struct vcpu_svm *svm, u32 asid)
{
	if (asid)
		shadow_drop_tag(svm->nested->shadow, asid);
	else
		shadow_drop_all(svm->nested->shadow);
	svm->nested->flush = true;
}

/* --- faults --- */

/* Fetches are told from reads where the host has NX or SMEP. APM vol. 2, "Page-Fault Exception (#PF)" */
static bool tells_fetches(const struct svm_nested *nested)
{
	const struct vmcb_save *host = &nested->parked[LEVEL_L1].vmcb->save;

	return (host->cr4 & CR4_SMEP) || ((host->cr4 & CR4_PAE) && (host->efer & EFER_NXE));
}

/* EXITINFO1: what kind of access it was, and what L1's tables say to it. Nested tables are walked as a user. */
static u64 error_code(const struct svm_nested *nested, u64 access, u8 cause)
{
	u64 code = (access & (PF_WRITE | PF_FETCH | NPF_FINAL | NPF_GUEST_WALK)) | PF_USER;

	if (!tells_fetches(nested))
		code &= ~(u64)PF_FETCH;
	if (cause == NESTED_FORBIDDEN || cause == NESTED_MALFORMED)
		code |= PF_PRESENT;
	return cause == NESTED_MALFORMED ? code | PF_RESERVED : code;
}

static u32 access_of(u64 info)
{
	if (info & NPF_GUEST_WALK)
		return NESTED_READ | NESTED_TABLE;
	return info & PF_FETCH ? NESTED_EXECUTE : info & PF_WRITE ? NESTED_WRITE : NESTED_READ;
}

/* L1's tables allow it, but there is no RAM of L1's. */
static void access_device(struct vcpu *vcpu, gpa_t gpa, u64 info)
{
	const struct tdp_fault fault = {
		.gpa = gpa,
		.access = info & PF_FETCH ? TDP_FETCH : info & PF_WRITE ? TDP_WRITE : TDP_READ,
		.walk = info & NPF_GUEST_WALK,
		.watched = to_svm(vcpu)->vmcb->save.dr7 & DR7_ENABLED,
		.what = "nested page fault of a guest's guest",
	};

	exit_tdp_fault(vcpu, &fault);
}

static void refuse(struct vcpu *vcpu, u64 info, u8 cause)
{
	const struct vmcb_control *control = &to_svm(vcpu)->vmcb->control;

	nsvm_exit(vcpu, &(struct nsvm_exit){
		.code = VMEXIT_NPF,
		.info1 = error_code(to_svm(vcpu)->nested, info, cause),
		.info2 = control->exit_info2,
		.int_info = nsvm_interrupted_event(to_svm(vcpu)),
		.next_rip = control->next_rip,
		.fetched = true,
	});
}

void nsvm_handle_npf(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	u64 info = svm->vmcb->control.exit_info1;
	struct nested_walk walk;

	if (!nsvm_paging(svm->nested)) {
		svm_handle_exit(vcpu);
		return;
	}
	switch (shadow_fill(svm->nested->shadow, svm->vmcb->control.exit_info2, access_of(info), &walk)) {
	case SHADOW_FILLED:
		return;
	case SHADOW_REFUSED:
		refuse(vcpu, info, walk.cause);
		return;
	case SHADOW_DEVICE:
		access_device(vcpu, walk.gpa, info);
		return;
	case SHADOW_FAILED:
		exit_unexpected(vcpu, "no memory for the shadow of a guest's nested tables");
	}
}

/* --- addresses that L0 translates for L2 --- */

int nsvm_gpa(struct vcpu *vcpu, gpa_t l2, gva_t gva __maybe_unused, u32 access, bool table, gpa_t *gpa)
{
	struct svm_nested *nested = to_svm(vcpu)->nested;
	u64 info = table ? PF_WRITE | NPF_GUEST_WALK : (access & (PF_WRITE | PF_FETCH)) | NPF_FINAL;
	struct nested_walk walk;

	*gpa = l2;
	if (!nsvm_paging(nested))
		return 0;
	nested_walk(vcpu->vm, &nested->tables, l2, access_of(info), &walk);
	if (walk.cause == NESTED_ALLOWED) {
		*gpa = walk.gpa;
		return 0;
	}
	nested->refused.address = l2;
	nested->refused.info = error_code(nested, info, walk.cause);
	return -EFAULT;
}

void nsvm_fault(struct vcpu *vcpu)
{
	const struct svm_nested *nested = to_svm(vcpu)->nested;

	nsvm_exit(vcpu, &(struct nsvm_exit){
		.code = VMEXIT_NPF,
		.info1 = nested->refused.info,
		.info2 = nested->refused.address,
		.int_info = nsvm_interrupted_event(to_svm(vcpu)),
	});
}
