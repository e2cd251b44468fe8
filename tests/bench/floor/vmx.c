/* SPDX-License-Identifier: MIT */
/* Intel SDM vol. 3, "Virtual-Machine Control Structures": VMLAUNCH, and only what it requires. */
#include "floor/floor.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "vmx/vmcs.h"

#define MSR_BASIC	 0x480
#define MSR_PIN		 0x481
#define MSR_PRIMARY	 0x482
#define MSR_EXIT	 0x483
#define MSR_ENTRY	 0x484
#define MSR_SECONDARY	 0x48b

static u8 vmxon_region[4096] __aligned(4096), vmcs[4096] __aligned(4096);

void floor_vmx_launch(void);				/* run.asm */
void floor_vmx_exit_point(void);
void floor_vmx_exit(struct floor_regs *regs);		/* called by it */
void floor_vmx_refused(void) __noreturn;

void vmcs_read_failed(u32 encoding)
{
	floor_stop("VMREAD failed", encoding);
}

void vmcs_write_failed(u32 encoding, u64 value __maybe_unused)
{
	floor_stop("VMWRITE failed", encoding);
}

void floor_vmx_refused(void)
{
	floor_stop("VM entry refused, instruction error", vmcs_read32(INSTRUCTION_ERROR));
}

/* No check for failure: nothing can fail in the loop. */
static inline u64 field(u32 encoding)
{
	u64 value;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((u64)encoding) : "cc");
	return value;
}

static void skip(struct floor_regs *regs __maybe_unused)
{
	u64 rip = field(GUEST_RIP.encoding) + field(EXIT_INSTRUCTION_LENGTH.encoding);

	__asm__ volatile("vmwrite %0, %1" : : "r"(rip), "r"((u64)GUEST_RIP.encoding) : "cc");
}

static void stamp_vmcall(struct floor_regs *regs)
{
	regs->rcx = rdtsc();
	skip(regs);
	regs->rdx = rdtsc();
}

#define EXIT_REASON_CPUID  10
#define EXIT_REASON_VMCALL 18

static void (*const handlers[])(struct floor_regs *regs) = {
	[EXIT_REASON_CPUID] = skip,
	[EXIT_REASON_VMCALL] = stamp_vmcall,
};

void floor_vmx_exit(struct floor_regs *regs)
{
	u32 reason = (u32)field(EXIT_REASON.encoding);

	if (reason >= ARRAY_SIZE(handlers) || !handlers[reason])
		floor_stop("unexpected exit", reason);
	handlers[reason](regs);
}

/* SDM, "Algorithms for Determining VMX Capabilities" */
static u32 controls(u32 msr, u32 wanted)
{
	u64 capability = rdmsr(msr);

	return (u32)capability | (wanted & (u32)(capability >> 32));
}

static void vmxon(void)
{
	u64 region = (u64)vmxon_region;
	bool done;

	if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
		wrmsr(MSR_FEATURE_CONTROL, rdmsr(MSR_FEATURE_CONTROL) | 5);
	write_cr0(read_cr0() | BIT(5));		/* NE */
	write_cr4(read_cr4() | BIT(13));	/* VMXE */
	*(u32 *)vmxon_region = *(u32 *)vmcs = (u32)rdmsr(MSR_BASIC);
	__asm__ volatile("vmxon %1" : "=@cca"(done) : "m"(region) : "memory");
	if (!done || !vmclear((u64)vmcs) || !vmptrld((u64)vmcs))
		floor_stop("VMXON, VMCLEAR or VMPTRLD failed", 0);
}

static void set_segments(void)
{
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		vmcs_write16(guest_selector(i), 0x10);
		vmcs_write32(guest_limit(i), ~0u);
		vmcs_writen(guest_base(i), 0);
		vmcs_write32(guest_access_rights(i), 0xc093);
	}
	vmcs_write16(guest_selector(SEG_CS), 0x18);
	vmcs_write32(guest_access_rights(SEG_CS), 0xa09b);
	vmcs_write16(guest_selector(SEG_LDTR), 0);
	vmcs_write32(guest_access_rights(SEG_LDTR), ACCESS_RIGHTS_UNUSABLE);
	vmcs_write16(guest_selector(SEG_TR), 0x40);
	vmcs_write32(guest_access_rights(SEG_TR), 0x8b);
	vmcs_write32(guest_limit(SEG_TR), 127);
}

static void nested_paging(u64 *tables)
{
	floor_map(tables, 6 << 3);	/* write-back */
	vmcs_write32(PRIMARY_CONTROLS, vmcs_read32(PRIMARY_CONTROLS) | PRIMARY_SECONDARY);
	vmcs_write32(SECONDARY_CONTROLS, controls(MSR_SECONDARY, SECONDARY_EPT));
	vmcs_write64(EPT_POINTER, (u64)tables | 3 << 3 | 6);
}

void floor_vmx(const struct floor_vm *vm)
{
	struct floor_table gdt, idt;

	vmxon();
	__asm__ volatile("sgdt %0; sidt %1" : "=m"(gdt), "=m"(idt));
	const struct vmcs_setting settings[] = {
		vmcs_set32(PIN_BASED_CONTROLS, controls(MSR_PIN, 0)),
		vmcs_set32(PRIMARY_CONTROLS, controls(MSR_PRIMARY, 0)),
		vmcs_set32(EXIT_CONTROLS, controls(MSR_EXIT, EXIT_HOST_64BIT)),
		vmcs_set32(ENTRY_CONTROLS, controls(MSR_ENTRY, ENTRY_IA32E_GUEST)),
		vmcs_set32(EXCEPTION_BITMAP, 0),
		vmcs_set32(CR3_TARGET_COUNT, 0),
		vmcs_set32(EXIT_MSR_STORE_COUNT, 0),
		vmcs_set32(EXIT_MSR_LOAD_COUNT, 0),
		vmcs_set32(ENTRY_MSR_LOAD_COUNT, 0),
		vmcs_set32(ENTRY_INTERRUPTION_INFO, 0),
		vmcs_set64(VMCS_LINK_POINTER, ~0ull),

		vmcs_setn(HOST_CR0, read_cr0()), vmcs_setn(GUEST_CR0, read_cr0()),
		vmcs_setn(HOST_CR3, read_cr3()), vmcs_setn(GUEST_CR3, read_cr3()),
		vmcs_setn(HOST_CR4, read_cr4()), vmcs_setn(GUEST_CR4, read_cr4()),
		vmcs_setn(CR0_GUEST_HOST_MASK, 0), vmcs_setn(CR4_GUEST_HOST_MASK, 0),
		vmcs_set16(HOST_CS_SELECTOR, 0x18), vmcs_set16(HOST_SS_SELECTOR, 0x10),
		vmcs_set16(HOST_DS_SELECTOR, 0x10), vmcs_set16(HOST_ES_SELECTOR, 0x10),
		vmcs_set16(HOST_FS_SELECTOR, 0x10), vmcs_set16(HOST_GS_SELECTOR, 0x10),
		vmcs_set16(HOST_TR_SELECTOR, 0x40), vmcs_setn(HOST_TR_BASE, 0),
		vmcs_setn(HOST_FS_BASE, 0), vmcs_setn(HOST_GS_BASE, 0),
		vmcs_setn(HOST_GDTR_BASE, gdt.base), vmcs_setn(GUEST_GDTR_BASE, gdt.base),
		vmcs_setn(HOST_IDTR_BASE, idt.base), vmcs_setn(GUEST_IDTR_BASE, idt.base),
		vmcs_set32(GUEST_GDTR_LIMIT, gdt.limit), vmcs_set32(GUEST_IDTR_LIMIT, idt.limit),
		vmcs_setn(HOST_RIP, (u64)floor_vmx_exit_point),

		vmcs_set64(GUEST_DEBUGCTL, 0), vmcs_setn(GUEST_DR7, 0x400),
		vmcs_setn(GUEST_RFLAGS, 2), vmcs_setn(GUEST_RIP, (u64)vm->guest),
		vmcs_setn(GUEST_RSP, vm->stack), vmcs_setn(GUEST_PENDING_DEBUG, 0),
		vmcs_set32(GUEST_INTERRUPTIBILITY, 0), vmcs_set32(GUEST_ACTIVITY, ACTIVITY_ACTIVE),
	};

	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++)
		vmcs_write_encoded(settings[i].encoding, settings[i].value);
	set_segments();
	if (vm->nested_tables)
		nested_paging(vm->nested_tables);
	if (vm->first)
		vm->first();
	floor_vmx_launch();
}
