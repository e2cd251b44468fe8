/* SPDX-License-Identifier: MIT */
/*
 * vmcs02: what L1 asks for reaches the processor only where it is allowed to. Intel SDM, "VM-Execution Control
 * Fields".
 */
/* link: vmx/nested/vmcs02.c vmx/vmcs.c tests/unit/fake_vmcs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/mem/guest_mem.h"
#include "core/mem/tdp_change.h"
#include "core/nested.h"
#include "core/vm.h"
#include "lib/errno.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/nested/nested.h"

#define L1_BITMAP  0x1000ull
#define L1_APIC	   0x2000ull
#define L1_ACCESS  0x3000ull
#define ROM	   0xfffff000ull
#define HOST_OFFSET 0x7000000ull

struct vmx_caps vmx_caps;

static struct vm vm;
static struct vcpu_vmx vmx;
static struct nested_vmx nested;
static struct vmcs12 vmcs12;
static struct vcpu *const vcpu = &vmx.vcpu;
static u64 l0_bitmap[512], merged[512], ram[4096];
static u64 pat;
static char diary[64];

static void note(char step) { diary[strlen(diary)] = step; }

/* --- the rest of Lamina --- */

void panic(const char *format, ...) { fail_msg("panic"); __builtin_unreachable(); }
void *page_alloc(void) { return NULL; }
void page_free(void *page) { }
int nested_ept_create(struct vcpu *v) { return 0; }
void nested_ept_destroy(struct vcpu *v) { }
void nested_events_create(struct vcpu *v) { }
static bool ept;
bool nested_ept_is_on(struct vcpu *v) { return ept; }
void ept_flush(const struct vm *v) { note('E'); }
void shadow_flush_all(struct shadow *shadow) { note('S'); }
u64 nested_ept_pointer(struct vcpu *v) { return 0xe000; }
u64 nested_real_cr0(u64 cr0) { return cr0 | BIT_ULL(60); }
u64 nested_real_cr4(u64 cr4) { return cr4 | BIT_ULL(61); }
void vmx_use_vmcs(struct vcpu_vmx *v) { note('V'); }
void vmx_store_dirty_regs(struct vcpu *v) { note('R'); v->regs_dirty = 0; }
void vmx_tsc_offset_changed(struct vcpu *v) { note('T'); }
void nested_switch_to_l2(struct vcpu *v) { note('2'); }
void nested_switch_to_l1(struct vcpu *v) { note('1'); }
int vmx_msr_set(struct vcpu *v, u32 msr, u64 value) { pat = value; return 0; }

void *guest_ptr(const struct vm *v, gpa_t gpa, u64 size)
{
	return gpa + size <= sizeof(ram) ? (u8 *)ram + gpa : NULL;
}

static unsigned changing, answers;	/* another CPU changes the tables: for so many more looks */

int tdp_translate(const struct vm *v, gpa_t gpa, hpa_t *hpa)
{
	*hpa = gpa + HOST_OFFSET;
	if (changing)
		return -ENOENT;
	return gpa < sizeof(ram) || gpa == ROM ? 0 : -ENOENT;
}

bool tdp_change_explains(const struct vm *v, gpa_t gpa, bool write) { return changing; }
void tdp_flush_answer(void) { answers++; changing--; }

static int own_level, splits, split_result;

u64 tdp_entry(const struct vm *v, gpa_t gpa, int *level)
{
	*level = own_level;
	return gpa + HOST_OFFSET;
}

int tdp_protect(struct vm *v, gpa_t gpa, u64 size, bool writable)
{
	assert_int_equal(gpa, L1_ACCESS);
	assert_int_equal(size, PAGE_SIZE);
	assert_true(writable);
	note('P');
	splits++;
	return split_result;
}

static unsigned warnings;

bool vm_once(struct vm *v, enum once_kind kind, u64 index) { return true; }
const char *vm_name(const struct vm *v) { return "l1"; }
void log_line(enum log_level level, const char *name, const char *format, ...) { warnings++; }

static void window(struct vcpu *v, bool on) { assert_false(on); note('w'); }

static int setup(void **state)
{
	static const struct vcpu_ops ops = { .interrupt_window = window, .nmi_window = window };

	memset(&vmx, 0, sizeof(vmx));
	memset(&nested, 0, sizeof(nested));
	memset(&vmcs12, 0, sizeof(vmcs12));
	memset(l0_bitmap, 0xff, sizeof(l0_bitmap));
	memset(merged, 0xff, sizeof(merged));
	memset(ram, 0, sizeof(ram));
	memset(diary, 0, sizeof(diary));
	ept = true;
	own_level = splits = split_result = 0;
	warnings = 0;
	fake_vmcs_clear();
	vmx_caps = (struct vmx_caps){
		.pin = PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER | 0x16,
		.primary = PRIMARY_HLT | PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE | PRIMARY_UNCONDITIONAL_IO | PRIMARY_MSR_BITMAP |
			   PRIMARY_SECONDARY | PRIMARY_TSC_OFFSET,
		.exit = EXIT_LOAD_EFER,
		.entry = ENTRY_LOAD_DEBUG | ENTRY_LOAD_EFER | ENTRY_LOAD_PAT,
	};
	vm.vendor = l0_bitmap;
	vcpu->vm = &vm;
	vcpu->ops = &ops;
	vmx.nested = &nested;
	nested.vmcs12 = &vmcs12;
	nested.l2.msr_bitmap = (u8 *)merged;
	nested.l2.other.secondary = SECONDARY_EPT | SECONDARY_VPID | SECONDARY_UNRESTRICTED_GUEST | SECONDARY_RDTSCP |
				    SECONDARY_INVPCID | SECONDARY_XSAVES | SECONDARY_PAUSE_LOOP;
	nested.l2.other.cr4_guest_owned = CR4_PGE | CR4_TSD;
	vmcs12_write64(&vmcs12, MSR_BITMAP, L1_BITMAP);
	vmcs12_write64(&vmcs12, VIRTUAL_APIC_ADDRESS, L1_APIC);
	vmcs12_write64(&vmcs12, APIC_ACCESS_ADDRESS, L1_ACCESS);
	return 0;
}

static void fill(void)
{
	const struct nested_origin origin = { .dr7 = 0x455, .pat = 0x77, .efer = EFER_NXE, .pdptes = { 1, 2, 3, 4 } };

	nested_fill_vmcs02(vcpu, &origin);
}

/* S5: every bit that L1 can set is set, and only those of the list are in vmcs02 besides L0's own. */
static void controls_are_taken_bit_by_bit(void **state)
{
	const u32 primary = BIT(2) | BIT(7) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(15) | BIT(16) | BIT(19) | BIT(20) |
			    BIT(21) | BIT(22) | BIT(23) | BIT(27) | BIT(29) | BIT(30);
	const u32 secondary = BIT(0) | BIT(2) | BIT(3) | BIT(6) | BIT(7) | BIT(10) | BIT(12);

	vmcs12_write32(&vmcs12, PIN_BASED_CONTROLS, ~0u);
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, ~0u);
	vmcs12_write32(&vmcs12, SECONDARY_CONTROLS, ~0u);
	vmcs12_write32(&vmcs12, EXIT_CONTROLS, ~0u);
	vmcs12_write32(&vmcs12, ENTRY_CONTROLS, ~0u);
	fill();
	assert_int_equal(FAKE(PRIMARY_CONTROLS), vmx_caps.primary | primary);
	assert_int_equal(FAKE(SECONDARY_CONTROLS), SECONDARY_EPT | SECONDARY_VPID | SECONDARY_PAUSE_LOOP | secondary);
	assert_int_equal(FAKE(ENTRY_CONTROLS), vmx_caps.entry | ENTRY_IA32E_GUEST);
	assert_false(WRITTEN(PIN_BASED_CONTROLS));	/* as vmx_write_controls() has written them */
	assert_false(WRITTEN(EXIT_CONTROLS));
	assert_false(WRITTEN(IO_BITMAP_A) || WRITTEN(EXIT_MSR_LOAD_ADDRESS) || WRITTEN(ENTRY_MSR_LOAD_ADDRESS));
	assert_false(WRITTEN(GUEST_DEBUGCTL) || WRITTEN(VMCS_LINK_POINTER) || WRITTEN(HOST_CR3) || WRITTEN(HOST_RIP));
	assert_false(WRITTEN(GUEST_ACTIVITY));		/* L0 carries it out: vmcs02 is always active */
}

/* What L0 gives L1, L2 has only if L1 asks for it; what L0 needs stays whatever L1 says. */
static void nothing_is_asked_for(void **state)
{
	fill();
	assert_int_equal(FAKE(PRIMARY_CONTROLS), vmx_caps.primary);
	assert_int_equal(FAKE(SECONDARY_CONTROLS), SECONDARY_EPT | SECONDARY_VPID | SECONDARY_PAUSE_LOOP);
	assert_int_equal(FAKE(EXCEPTION_BITMAP), EXCEPTIONS_THAT_EXIT);
	vmcs12_write32(&vmcs12, SECONDARY_CONTROLS, ~0u);	/* the word is not activated */
	fill();
	assert_int_equal(FAKE(SECONDARY_CONTROLS), SECONDARY_EPT | SECONDARY_VPID | SECONDARY_PAUSE_LOOP);
	vmcs12_write32(&vmcs12, EXCEPTION_BITMAP, BIT(X86_PF));
	fill();
	assert_int_equal(FAKE(EXCEPTION_BITMAP), EXCEPTIONS_THAT_EXIT | BIT(X86_PF));
}

/* S7: without a TPR shadow CR8 exits; with one, by L1's controls; a page outside of RAM is none. */
static void cr8_never_reaches_the_processor(void **state)
{
	const u32 cr8 = PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE;

	fill();
	assert_int_equal(FAKE(PRIMARY_CONTROLS) & (cr8 | PRIMARY_TPR_SHADOW), cr8);
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, PRIMARY_TPR_SHADOW | PRIMARY_CR8_STORE);
	vmcs12_write32(&vmcs12, TPR_THRESHOLD, 5);
	fill();
	assert_int_equal(FAKE(PRIMARY_CONTROLS) & (cr8 | PRIMARY_TPR_SHADOW), PRIMARY_TPR_SHADOW | PRIMARY_CR8_STORE);
	assert_int_equal(FAKE(VIRTUAL_APIC_ADDRESS), L1_APIC + HOST_OFFSET);
	assert_int_equal(FAKE(TPR_THRESHOLD), 5);
	FAKE(VIRTUAL_APIC_ADDRESS) = 0;
	changing = 2;
	answers = 0;
	fill();
	assert_int_equal(FAKE(VIRTUAL_APIC_ADDRESS), L1_APIC + HOST_OFFSET);
	assert_int_equal(answers, 2);
	vmcs12_write64(&vmcs12, VIRTUAL_APIC_ADDRESS, 0xfee00000);
	fill();
	assert_int_equal(FAKE(PRIMARY_CONTROLS) & (cr8 | PRIMARY_TPR_SHADOW), cr8);
	vmcs12_write64(&vmcs12, VIRTUAL_APIC_ADDRESS, ROM);	/* mapped, but not to be written */
	fill();
	assert_int_equal(FAKE(PRIMARY_CONTROLS) & (cr8 | PRIMARY_TPR_SHADOW), cr8);
}

/*
 * L1's APIC-access page, and no other: of L1 alone, flushed where it changes, and at each switch where both levels use the same
 * tables. SDM, "Linear Accesses to the APIC-Access Page".
 */
static void apic_access_page(void **state)
{
	fill();
	assert_false(WRITTEN(APIC_ACCESS_ADDRESS));
	assert_string_equal(diary, "");
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, PRIMARY_SECONDARY);
	vmcs12_write32(&vmcs12, SECONDARY_CONTROLS, SECONDARY_APIC_ACCESSES | SECONDARY_VPID);
	vmcs12_write16(&vmcs12, VPID, 3);
	fill();
	assert_true(FAKE(SECONDARY_CONTROLS) & SECONDARY_APIC_ACCESSES);
	assert_int_equal(FAKE(APIC_ACCESS_ADDRESS), L1_ACCESS + HOST_OFFSET);
	assert_string_equal(diary, "ES");
	nested.flush_l2 = false;
	fill();
	assert_string_equal(diary, "ES");		/* nothing has changed */
	assert_false(nested.flush_l2);
	vmcs12_write64(&vmcs12, APIC_ACCESS_ADDRESS, L1_APIC);
	fill();
	assert_string_equal(diary, "ESES");
	assert_true(nested.flush_l2);
	nested_forget_apic_access(vcpu);
	assert_string_equal(diary, "ESES");		/* L2 has tables of its own */
	ept = false;
	fill();
	assert_string_equal(diary, "ESESES");
	memset(diary, 0, sizeof(diary));
	nested_forget_apic_access(vcpu);
	assert_string_equal(diary, "E");
	strcpy(diary, "ESESES");
	nested_use_vmcs01(vcpu);
	assert_string_equal(diary, "ESESESwwERV1");
	memset(diary, 0, sizeof(diary));
	vmcs12_write32(&vmcs12, SECONDARY_CONTROLS, 0);
	fill();
	assert_string_equal(diary, "ES");
	assert_false(FAKE(SECONDARY_CONTROLS) & SECONDARY_APIC_ACCESSES);
	nested_forget_apic_access(vcpu);
	assert_string_equal(diary, "ES");		/* there is none */
	nested_use_vmcs01(vcpu);
	assert_string_equal(diary, "ESwwRV1");
}

/*
 * Where both levels use the same tables, the page is one of 4 KiB there, before anything of it is flushed.
 * SDM, "Issues Pertaining to Page Size and TLB Management".
 */
static void apic_access_page_is_split(void **state)
{
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, PRIMARY_SECONDARY);
	own_level = TDP_2M;
	ept = false;
	fill();
	assert_string_equal(diary, "");			/* there is none */
	vmcs12_write32(&vmcs12, SECONDARY_CONTROLS, SECONDARY_APIC_ACCESSES);
	ept = true;
	fill();
	assert_string_equal(diary, "ES");		/* L1's own tables say how large */
	ept = false;
	fill();
	assert_string_equal(diary, "ESPES");
	own_level = TDP_4K;
	fill();
	assert_string_equal(diary, "ESPESES");
	assert_int_equal(warnings, 0);

	/* No memory, and more than a hypervisor has: L2 runs on, and the log says so. */
	own_level = TDP_1G;
	split_result = -ENOMEM;
	memset(diary, 0, sizeof(diary));
	fill();
	assert_string_equal(diary, "PES");
	assert_int_equal(warnings, 1);
	assert_true(FAKE(SECONDARY_CONTROLS) & SECONDARY_APIC_ACCESSES);
	split_result = 0;
	splits = 1;
	for (unsigned i = 0; i < 70; i++) {
		memset(diary, 0, sizeof(diary));
		fill();
	}
	assert_int_equal(splits, 64);
	assert_int_equal(warnings, 8);
}

/* A page that is lost while L2 runs is no longer in vmcs02; L1's windows and what else L0 has open stay. */
static void lost_pages_are_let_go(void **state)
{
	const u32 cr8 = PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE;

	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, PRIMARY_SECONDARY | PRIMARY_TPR_SHADOW);
	vmcs12_write32(&vmcs12, SECONDARY_CONTROLS, SECONDARY_APIC_ACCESSES);
	fill();
	vmx.vmcs.primary |= PRIMARY_NMI_WINDOW;
	vmx.vmcs.secondary |= BIT(31);
	vmcs12_write64(&vmcs12, VIRTUAL_APIC_ADDRESS, ROM);
	vmcs12_write64(&vmcs12, APIC_ACCESS_ADDRESS, ROM);
	nested_write_apic(vcpu);
	assert_int_equal(FAKE(PRIMARY_CONTROLS) & (cr8 | PRIMARY_TPR_SHADOW | PRIMARY_NMI_WINDOW), cr8 | PRIMARY_NMI_WINDOW);
	assert_int_equal(FAKE(SECONDARY_CONTROLS) & (SECONDARY_APIC_ACCESSES | BIT(31)), BIT(31));
	vmcs12_write64(&vmcs12, VIRTUAL_APIC_ADDRESS, L1_APIC);
	nested_write_apic(vcpu);
	assert_int_equal(FAKE(PRIMARY_CONTROLS) & (cr8 | PRIMARY_TPR_SHADOW), PRIMARY_TPR_SHADOW);
}

/* L0 has its own gap and window, and L1's while L1 asks for exits of loops. */
static void pause_loops(void **state)
{
	vmx_caps.secondary = SECONDARY_PAUSE_LOOP;
	vmcs12_write32(&vmcs12, PLE_GAP, 7);
	vmcs12_write32(&vmcs12, PLE_WINDOW, 8);
	fill();
	assert_int_equal(FAKE(PLE_GAP), PAUSE_LOOP_GAP);
	assert_int_equal(FAKE(PLE_WINDOW), PAUSE_LOOP_WINDOW);
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, PRIMARY_SECONDARY);
	vmcs12_write32(&vmcs12, SECONDARY_CONTROLS, SECONDARY_PAUSE_LOOP);
	nested.l2.other.secondary &= ~(u32)SECONDARY_PAUSE_LOOP;
	fill();
	assert_int_equal(FAKE(PLE_GAP), 7);
	assert_int_equal(FAKE(PLE_WINDOW), 8);
	assert_true(FAKE(SECONDARY_CONTROLS) & SECONDARY_PAUSE_LOOP);
}

/* Processors whose VMCS has no EFER: the list is one for both, and the field must not be written. */
static void efer_lists_follow_the_level(void **state)
{
	struct vmx_msr_entry lists[2] = { { .value = EFER_NXE } };

	vmx_caps.exit = 0;
	vmx.efer_lists = lists;
	nested.l2.other.efer = EFER_SCE;
	vmx.vmcs.efer = EFER_NXE;
	nested_use_vmcs02(vcpu);
	fill();
	assert_int_equal(lists[0].value, EFER_NXE);
	assert_false(WRITTEN(GUEST_EFER));
	vmx.vmcs.efer = lists[0].value = EFER_SCE | EFER_LME;	/* L2 has written it */
	nested_use_vmcs01(vcpu);
	assert_int_equal(lists[0].value, EFER_NXE);
}

/* S8: an MSR exits if either of the two says so. L0's bitmap opens two words here. */
static void msr_bitmaps_are_merged(void **state)
{
	u64 *l1 = ram + L1_BITMAP / 8;

	l0_bitmap[3] = ~0ull << 8;
	l0_bitmap[200] = ~1ull;
	l1[3] = 0x0f;
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, PRIMARY_MSR_BITMAP);
	fill();
	for (unsigned i = 0; i < 512; i++)
		assert_true(merged[i] == (i == 3 ? (~0ull << 8 | 0x0f) : i == 200 ? ~1ull : ~0ull));
	l1[200] = 1;
	fill();
	assert_true(merged[200] == ~0ull);
	assert_int_equal(FAKE(MSR_BITMAP), virt_to_phys(merged));
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, 0);		/* L1 uses none: all exit */
	fill();
	assert_true(merged[3] == ~0ull);
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, PRIMARY_MSR_BITMAP);
	vmcs12_write64(&vmcs12, MSR_BITMAP, 0x10000000);	/* not in RAM: reads as ones */
	fill();
	assert_true(merged[3] == ~0ull);
}

/*
 * S17: a bit reads as L1's shadow says where it is L1's, else as it is; what L2 changes without an exit is neither's.
 */
static void control_registers_have_three_owners(void **state)
{
	vmcs12_writen(&vmcs12, GUEST_CR0, CR0_PE | CR0_NE | CR0_PG | CR0_CD);
	vmcs12_writen(&vmcs12, CR0_GUEST_HOST_MASK, CR0_TS | CR0_CD);
	vmcs12_writen(&vmcs12, CR0_READ_SHADOW, CR0_TS | CR0_PG);
	vmcs12_writen(&vmcs12, GUEST_CR4, CR4_PAE | CR4_VMXE);
	vmcs12_writen(&vmcs12, CR4_GUEST_HOST_MASK, CR4_VMXE | CR4_PGE);
	vmcs12_writen(&vmcs12, CR4_READ_SHADOW, 0);
	fill();
	assert_true(FAKE(CR0_GUEST_HOST_MASK) == ~(CR0_GUEST_OWNED & ~CR0_TS));
	assert_int_equal(FAKE(CR0_READ_SHADOW), CR0_TS | CR0_PE | CR0_NE | CR0_PG);
	assert_true(FAKE(GUEST_CR0) == nested_real_cr0(CR0_PE | CR0_NE | CR0_PG | CR0_CD));
	assert_true(FAKE(CR4_GUEST_HOST_MASK) == ~CR4_TSD);
	assert_int_equal(FAKE(CR4_READ_SHADOW), CR4_PAE);
	assert_true(FAKE(GUEST_CR4) == nested_real_cr4(CR4_PAE | CR4_VMXE));
	assert_int_equal(vmx.vmcs.cr4_guest_owned, CR4_TSD);
}

/* SDM, "Loading Guest Control Registers, Debug Registers, and MSRs" */
static void what_vmcs12_does_not_load_is_l1s(void **state)
{
	vmcs12_writen(&vmcs12, GUEST_DR7, 0x401);
	vmcs12_write64(&vmcs12, GUEST_PAT, 0x66);
	vmcs12_write64(&vmcs12, GUEST_EFER, EFER_SCE);
	fill();
	assert_int_equal(FAKE(GUEST_DR7), 0x455);
	assert_int_equal(pat, 0x77);
	assert_int_equal(FAKE(GUEST_EFER), EFER_NXE);
	vmcs12_write32(&vmcs12, ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
	vmcs12_writen(&vmcs12, GUEST_CR0, CR0_PG);
	fill();
	assert_int_equal(FAKE(GUEST_EFER), EFER_NXE | EFER_LMA | EFER_LME);
	assert_int_equal(vmx.vmcs.efer, FAKE(GUEST_EFER));
	vmcs12_write32(&vmcs12, ENTRY_CONTROLS, ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER);
	fill();
	assert_int_equal(FAKE(GUEST_DR7), 0x401);
	assert_int_equal(pat, 0x66);
	assert_int_equal(FAKE(GUEST_EFER), EFER_SCE);
	assert_int_equal(FAKE(guest_pdpte(2)), 3);
}

static void time_stamps_add_up(void **state)
{
	vcpu->tsc_offset = 1000;
	vmcs12_write64(&vmcs12, TSC_OFFSET, 234);
	fill();
	assert_int_equal(FAKE(TSC_OFFSET), 1000);
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, PRIMARY_TSC_OFFSET);
	fill();
	assert_int_equal(FAKE(TSC_OFFSET), 1234);
	assert_int_equal(nested.l2.tsc_offset, 234);
}

/* S21: a flush at each entry without a VPID of L1's, and where that changes. */
static void translations_are_flushed_with_the_vpid(void **state)
{
	static const struct { u32 control; u16 vpid; bool flush; } entries[] = {
		{ 0, 0, true }, { 0, 0, true }, { SECONDARY_VPID, 3, true }, { SECONDARY_VPID, 3, false },
		{ SECONDARY_VPID, 4, true }, { 0, 4, true }, { SECONDARY_VPID, 4, true }, { SECONDARY_VPID, 4, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
		vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, PRIMARY_SECONDARY);
		vmcs12_write32(&vmcs12, SECONDARY_CONTROLS, entries[i].control);
		vmcs12_write16(&vmcs12, VPID, entries[i].vpid);
		nested.flush_l2 = false;
		fill();
		assert_int_equal(nested.flush_l2, entries[i].flush);
	}
	assert_int_equal(FAKE(EPT_POINTER), 0xe000);
}

/* Registers are stored in the VMCS that they belong to, and its windows are closed, before the other one is current. */
static void levels_are_switched(void **state)
{
	static u8 first, second;

	vmx.vmcs.page = &first;
	nested.l2.other.page = &second;
	vcpu->events.irq_window = true;
	vcpu->regs_available = REGS_LAZY;
	nested_use_vmcs02(vcpu);
	assert_string_equal(diary, "wwRV2");
	assert_ptr_equal(vmx.vmcs.page, &second);
	assert_ptr_equal(nested.l2.other.page, &first);
	assert_false(vcpu->events.irq_window || vcpu->regs_available);
	memset(diary, 0, sizeof(diary));
	nested.l2.tsc_changed = nested.l2.pause_changed = true;
	nested.l2.other.secondary = 0x1234;
	nested_use_vmcs01(vcpu);
	assert_string_equal(diary, "wwRV1T");
	assert_int_equal(FAKE(SECONDARY_CONTROLS), 0x1234);
	assert_ptr_equal(vmx.vmcs.page, &first);
	memset(diary, 0, sizeof(diary));
	nested_use_vmcs01(vcpu);
	assert_null(strchr(diary, 'T'));
}

/* What vmcs02 and vmcs12 have alike comes back as it went in. */
static void guest_state_is_saved(void **state)
{
	vmcs12_writen(&vmcs12, GUEST_RIP, 0x1234);
	vmcs12_write16(&vmcs12, guest_selector(SEG_TR), 0x40);
	vmcs12_write32(&vmcs12, GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	fill();
	assert_int_equal(FAKE(GUEST_RIP), 0x1234);
	assert_int_equal(FAKE(guest_selector(SEG_TR)), 0x40);
	assert_int_equal(FAKE(GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_STI);
	FAKE(GUEST_RIP) = 0x1236;
	FAKE(guest_base(SEG_GS)) = 0x5678;
	FAKE(GUEST_CR3) = 0x9000;
	nested_save_guest(vcpu);
	assert_int_equal(vmcs12_readn(&vmcs12, GUEST_RIP), 0x1236);
	assert_int_equal(vmcs12_readn(&vmcs12, guest_base(SEG_GS)), 0x5678);
	assert_int_equal(vmcs12_readn(&vmcs12, GUEST_CR3), 0x9000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(controls_are_taken_bit_by_bit, setup),
		cmocka_unit_test_setup(nothing_is_asked_for, setup),
		cmocka_unit_test_setup(cr8_never_reaches_the_processor, setup),
		cmocka_unit_test_setup(apic_access_page, setup), cmocka_unit_test_setup(apic_access_page_is_split, setup),
		cmocka_unit_test_setup(lost_pages_are_let_go, setup),
		cmocka_unit_test_setup(pause_loops, setup),
		cmocka_unit_test_setup(efer_lists_follow_the_level, setup),
		cmocka_unit_test_setup(msr_bitmaps_are_merged, setup),
		cmocka_unit_test_setup(control_registers_have_three_owners, setup),
		cmocka_unit_test_setup(what_vmcs12_does_not_load_is_l1s, setup),
		cmocka_unit_test_setup(time_stamps_add_up, setup),
		cmocka_unit_test_setup(translations_are_flushed_with_the_vpid, setup),
		cmocka_unit_test_setup(levels_are_switched, setup),
		cmocka_unit_test_setup(guest_state_is_saved, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
