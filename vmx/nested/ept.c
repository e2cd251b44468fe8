/* SPDX-License-Identifier: MIT */
/*
 * L2's physical memory: by shadow tables (core/mem/shadow.h) where L1 uses EPT, else L1's own memory.
 * Intel SDM, "EPT Violations", "EPT Misconfigurations", "Caching Translation Information".
 */
#include "arch/cpu/x86.h"
#include "core/cpu/cpuid.h"
#include "core/emulate/emulate.h"
#include "core/exit.h"
#include "core/mem/guest_mem.h"
#include "core/mem/tdp.h"
#include "lib/string.h"
#include "vmx/nested/nested.h"

/* SDM, "Exit Qualification for EPT Violations": the rights of the address, from bit 3 on. */
#define EPT_VIOLATION_RIGHTS_SHIFT 3
/* What the processor says of the access, whoever has forbidden it. */
#define EPT_VIOLATION_OF_ACCESS (EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED | EPT_VIOLATION_NMI_UNBLOCKED)

#define EPTP_ACCESSED_DIRTY BIT_ULL(6)
#define EPTP_LEVELS(pointer) (((pointer) >> 3 & 7) + 1)

static struct shadow_format format;	/* the same for all VMs */

int nested_ept_create(struct vcpu *vcpu)
{
	struct tdp_format own;

	ept_format(vcpu->vm, &own);
	format = (struct shadow_format){
		.table_bits = own.table_bits, .page_bits = own.page_bits,
		.read = NESTED_READ, .write = NESTED_WRITE, .execute = NESTED_EXECUTE,
	};
	to_nested(vcpu)->shadow = shadow_create(vcpu, &format, shadow_pages(vcpu->vm->config->memory));
	return to_nested(vcpu)->shadow ? 0 : -ENOMEM;
}

void nested_ept_destroy(struct vcpu *vcpu)
{
	shadow_destroy(to_nested(vcpu)->shadow);
}

bool nested_ept_is_on(struct vcpu *vcpu)
{
	return nested_secondary(to_nested(vcpu)->vmcs12) & SECONDARY_EPT;
}

/* L1's EPT as vmcs12 says. */
static void describe(struct vcpu *vcpu, struct nested_tables *tables)
{
	const u64 offered = to_nested(vcpu)->checks->l1.ept_vpid;
	u64 pointer = vmcs12_read64(to_nested(vcpu)->vmcs12, EPT_POINTER);

	memset(tables, 0, sizeof(*tables));
	tables->root = pointer & PAGE_MASK;
	tables->format = NESTED_EPT;
	tables->levels = (u8)EPTP_LEVELS(pointer);
	tables->physical_bits = cpuid_physical_bits(vcpu);
	tables->accessed_dirty = pointer & EPTP_ACCESSED_DIRTY;
	tables->pages_1g = offered & EPT_PAGES_1G;
	tables->execute_only = offered & EPT_EXECUTE_ONLY;
}

u64 nested_ept_pointer(struct vcpu *vcpu)
{
	struct nested_tables tables;

	if (!nested_ept_is_on(vcpu))
		return ept_pointer(vcpu->vm);
	describe(vcpu, &tables);
	return ept_pointer_to(shadow_use(to_nested(vcpu)->shadow, &tables)) |
	       (tables.accessed_dirty ? EPTP_ACCESSED_DIRTY : 0);
}

void nested_ept_flush(struct vcpu *vcpu)
{
	if (nested_ept_is_on(vcpu) && shadow_flush_due(to_nested(vcpu)->shadow))
		ept_invalidate(vmcs_read64(EPT_POINTER));
}

void nested_vmx_forget(struct vcpu *vcpu)
{
	shadow_drop_all(to_nested(vcpu)->shadow);
	to_nested(vcpu)->flush_l2 = to_nested(vcpu)->l2.apic_changed = true;
}

/* --- EPT violations --- */

/*
 * L1's tables forbid the access. `access`: what the qualification says of it besides rights. Or it is to the APIC-access page:
 * all of the qualification.
 */
static void exit_to_l1(struct vcpu *vcpu, const struct nested_walk *walk, gpa_t l2_gpa, gva_t linear, u64 access)
{
	struct nested_exit exit = {
		.reason.full = EXIT_REASON_EPT_MISCONFIGURATION,
		.physical_address = l2_gpa,
		.linear_address = linear,
		.vectoring_info = to_vmx(vcpu)->vectoring_info,
		.vectoring_error = vmcs_read32(IDT_VECTORING_ERROR),
		.instruction_length = vmcs_read32(EXIT_INSTRUCTION_LENGTH),	/* of the INT n that was delivered */
	};

	if (walk->cause == NESTED_ALLOWED) {
		exit.reason.full = EXIT_REASON_APIC_ACCESS;
		exit.qualification = access;
	} else if (walk->cause != NESTED_MALFORMED) {
		exit.reason.full = EXIT_REASON_EPT_VIOLATION;
		exit.qualification = (walk->access & NESTED_RIGHTS) |
				     (u64)walk->rights << EPT_VIOLATION_RIGHTS_SHIFT | access;
	}
	nested_vmx_exit(vcpu, &exit);
}

/* L1's tables allow it, and no RAM is there: a device of L1, or nothing. */
static void access_device(struct vcpu *vcpu, gpa_t gpa, u64 qualification)
{
	const struct tdp_fault fault = {
		.gpa = gpa,
		.access = qualification & EPT_VIOLATION_FETCH ? TDP_FETCH :
			  qualification & EPT_VIOLATION_WRITE ? TDP_WRITE : TDP_READ,
		.walk = (qualification & EPT_VIOLATION_LINEAR_VALID) && !(qualification & EPT_VIOLATION_TRANSLATED),
		.watched = vmcs_readn(GUEST_DR7) & DR7_ENABLED,
		.what = "EPT violation of the guest's guest",
	};

	if (qualification & EPT_VIOLATION_LINEAR_VALID)
		exit_tdp_fault(vcpu, &fault);
	else
		event_raise_error(vcpu, X86_GP, 0);	/* MOV CR loads PDPTEs: as in vmx/exit.c */
}

void nested_ept_violation(struct vcpu *vcpu)
{
	u64 qualification = to_vmx(vcpu)->qualification;
	gpa_t l2_gpa = vmcs_read64(GUEST_PHYSICAL_ADDRESS);
	u32 access = qualification & NESTED_RIGHTS;
	struct nested_walk walk;

	if ((qualification & EPT_VIOLATION_LINEAR_VALID) && !(qualification & EPT_VIOLATION_TRANSLATED))
		access |= NESTED_TABLE;
	switch (shadow_fill(to_nested(vcpu)->shadow, l2_gpa, access, &walk)) {
	case SHADOW_FILLED:
		break;
	case SHADOW_REFUSED:
		exit_to_l1(vcpu, &walk, l2_gpa, vmcs_readn(GUEST_LINEAR_ADDRESS),
			   qualification & EPT_VIOLATION_OF_ACCESS);
		break;
	case SHADOW_DEVICE:
		access_device(vcpu, walk.gpa, qualification);
		break;
	case SHADOW_FAILED:
		exit_unexpected(vcpu, "no memory to make a page of the guest's guest executable");
		break;
	}
}

/* --- accesses that L0 emulates for L2 --- */

int nested_vmx_gpa(struct vcpu *vcpu, gpa_t l2, gva_t gva, u32 access, bool table, gpa_t *gpa)
{
	struct nested_l2 *refused = &to_nested(vcpu)->l2;
	struct nested_tables tables;
	u32 kind = access & PF_FETCH ? NESTED_EXECUTE : access & PF_WRITE ? NESTED_WRITE : NESTED_READ;
	bool ept = nested_ept_is_on(vcpu);

	refused->walk = (struct nested_walk){ .cause = NESTED_ALLOWED, .gpa = l2 };
	if (ept) {
		describe(vcpu, &tables);
		nested_walk(vcpu->vm, &tables, l2, table ? NESTED_READ | NESTED_TABLE : kind, &refused->walk);
	}
	if (refused->walk.cause == NESTED_ALLOWED &&
	    ((refused->walk.gpa & PAGE_MASK) != nested_apic_access(to_nested(vcpu)->vmcs12) || (table && !ept))) {
		*gpa = refused->walk.gpa;
		return 0;
	}
	refused->access = (u8)kind;
	refused->physical = l2;
	refused->linear = gva;
	refused->of_table = table;
	refused->refused = true;
	return -EFAULT;
}

/* SDM, "Exit Qualification for APIC-Access VM Exits from Linear Accesses and Guest-Physical Accesses" */
static u64 apic_access(const struct nested_l2 *refused)
{
	return refused->of_table ? 15 << 12 : (refused->walk.gpa & ~PAGE_MASK) | (u64)(refused->access >> 1) << 12;
}

void nested_vmx_fault(struct vcpu *vcpu)
{
	struct nested_l2 *refused = &to_nested(vcpu)->l2;
	/* MOV to CR, which loads PDPTEs, is the one instruction without a linear address. */
	bool pdptes = ((union vmx_exit_reason){ .full = (u32)vcpu->exit_reason }).basic == EXIT_REASON_CR_ACCESS;
	u64 access = pdptes ? 0 : EPT_VIOLATION_LINEAR_VALID | (refused->of_table ? 0 : EPT_VIOLATION_TRANSLATED);

	/* Other CPUs kept changing L1's tables: L2 repeats the instruction. */
	if (refused->walk.cause != NESTED_CHANGING)
		exit_to_l1(vcpu, &refused->walk, refused->physical, refused->linear,
			   refused->walk.cause == NESTED_ALLOWED ? apic_access(refused) : access);
}
