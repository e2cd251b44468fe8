/* SPDX-License-Identifier: MIT */
/*
 * Hyper-V's interface with nested=evmcs: CPUID, MSRs, and entries with an enlightened VMCS. Expected: Hyper-V Top Level
 * Functional Specification, "Feature and Interface Discovery", "Virtual Processors", "Nested Virtualization", and the
 * offsets of HV_VMX_ENLIGHTENED_VMCS.
 */
/* link: vmx/nested/evmcs.c vmx/nested/hyperv.c */
/* link: vmx/nested/instructions.c vmx/nested/region.c vmx/nested/result.c vmx/nested/operand.c vmx/nested/vmcs12.c */
/* link: vmx/rules/controls.c vmx/rules/rule.c core/emulate/watch.c core/emulate/operand.c core/emulate/gwalk.c */
/* link: core/emulate/gwalk_segment.c core/cpu/control.c core/vcpu.c tests/unit/fake_vcpu.c tests/unit/fake_vmcs.c */
#include "tests/unit/nested_vmx_machine.h"

#include "arch/time/clock.h"
#include "core/cpu/cpuid.h"

#define ASSIST	0x50000ull
#define PAGE	0x51000ull
#define OTHER	0x52000ull
#define GUEST_OS_ID 0x40000000
#define HYPERCALL   0x40000001
#define VP_INDEX    0x40000002
#define ASSIST_MSR  0x40000073
#define VMLAUNCH    EXIT_REASON_VMLAUNCH
#define VMRESUME    EXIT_REASON_VMRESUME
#define CLEAN_FIELDS 0x338

void shadow_drop_root(struct shadow *shadow, gpa_t root) { }
void shadow_drop_all(struct shadow *shadow) { }
u64 clock_tsc_hz(void) { return 2400000000; }
int vmx_skip_instruction(struct vcpu *v) { return v->ops->skip_instruction(v); }

static struct vm_config config;

static int wrmsr_as_guest(u32 msr, u64 value) { return nested_hyperv_msr_write(vcpu, msr, value); }

static u64 rdmsr_as_guest(u32 msr)
{
	u64 value = ~0ull;

	assert_int_equal(nested_hyperv_msr_read(vcpu, msr, &value), 0);
	return value;
}

/* VMX operation, no current VMCS, and a VP assist page that asks for entries with PAGE. */
static int evmcs_setup(void **state)
{
	machine_setup(state);
	config = (struct vm_config){ .nested = NESTED_EVMCS, .vcpus = 3 };
	vcpu->vm->config = &config;
	vcpu->vm->vcpus[0] = vcpu;
	nested.current_ptr = NO_VMCS;
	assert_int_equal(wrmsr_as_guest(ASSIST_MSR, ASSIST | 1), 0);
	put_u64(ASSIST + 0x28, 1);
	put_u64(ASSIST + 0x30, PAGE);
	put_u32(PAGE, 1);
	return 0;
}

/* --- CPUID and MSRs --- */

static struct cpuid_regs leaf(u32 number)
{
	struct cpuid_regs regs = { 0 };

	nested_hyperv_cpuid(vcpu, number, &regs);
	return regs;
}

static void discovery(void **state)
{
	char name[13] = "";
	struct cpuid_regs r = leaf(0x40000000);

	memcpy(name, &r.ebx, 4);
	memcpy(name + 4, &r.ecx, 4);
	memcpy(name + 8, &r.edx, 4);
	assert_string_equal(name, "Microsoft Hv");
	assert_int_equal(r.eax, 0x4000000a);
	assert_int_equal(leaf(0x40000001).eax, 0x31237648);
	/* MSRs: VP assist page, hypercalls, VP index, frequencies, invariant TSC. No root partition. */
	assert_int_equal(leaf(0x40000003).eax, BIT(4) | BIT(5) | BIT(6) | BIT(11) | BIT(15));
	assert_int_equal(leaf(0x40000003).ebx, 0);
	assert_int_equal(leaf(0x40000003).edx, BIT(8));
	assert_int_equal(leaf(0x40000004).eax, BIT(14));
	assert_int_equal(leaf(0x40000005).eax, 3);
	assert_int_equal(leaf(0x4000000a).eax, 0x0101);
	assert_int_equal(leaf(0x4000000a).ebx, 0);
	assert_int_equal(leaf(0x4000000b).eax, 0);
	config.nested = NESTED_ON;
	assert_int_equal(leaf(0x40000000).eax, 0);
}

static void no_msrs_without_it(void **state)
{
	u64 value;

	config.nested = NESTED_ON;
	assert_int_equal(nested_hyperv_msr_read(vcpu, ASSIST_MSR, &value), -ENOENT);
	assert_int_equal(wrmsr_as_guest(ASSIST_MSR, 0), -ENOENT);
	assert_int_equal(wrmsr_as_guest(VP_INDEX, 0), -ENOENT);
}

static int apic_model;

static int apic_read(void *apic, u32 msr, u64 *value)
{
	assert_ptr_equal(apic, &apic_model);
	*value = msr + 1;
	return msr == 0x40000070 ? -EINVAL : 0;
}

static int apic_write(void *apic, u32 msr, u64 value)
{
	assert_ptr_equal(apic, &apic_model);
	return msr == 0x40000072 && value == 0x20 ? 0 : -EINVAL;
}

/* Leaf 40000003h, EAX bit 4 announces them with the VP assist page. The local APIC's model has them: test_x2apic. */
static void apic_msrs(void **state)
{
	static const struct irqchip_ops chip = { .msr_read = apic_read, .msr_write = apic_write };
	u64 value;

	vcpu->vm->irqchip = &chip;
	vcpu->vlapic = &apic_model;
	assert_int_equal(nested_hyperv_msr_read(vcpu, 0x40000070, &value), -EINVAL);
	assert_int_equal(rdmsr_as_guest(0x40000071), 0x40000072);
	assert_int_equal(rdmsr_as_guest(0x40000072), 0x40000073);
	assert_int_equal(wrmsr_as_guest(0x40000072, 0x20), 0);
	assert_int_equal(wrmsr_as_guest(0x40000071, 0x20), -EINVAL);
	config.nested = NESTED_ON;
	assert_int_equal(wrmsr_as_guest(0x40000072, 0x20), -ENOENT);
	assert_int_equal(nested_hyperv_msr_read(vcpu, 0x40000071, &value), -ENOENT);
}

static void msrs(void **state)
{
	vcpu->id = 2;
	assert_int_equal(rdmsr_as_guest(VP_INDEX), 2);
	vcpu->id = 0;
	assert_int_equal(wrmsr_as_guest(VP_INDEX, 0), -EINVAL);
	assert_int_equal(rdmsr_as_guest(0x40000022), 2400000000);
	assert_int_equal(rdmsr_as_guest(0x40000023), 25000000);
	assert_int_equal(wrmsr_as_guest(0x40000022, 1), -EINVAL);
	assert_int_equal(wrmsr_as_guest(0x40000118, 1), 0);
	assert_int_equal(rdmsr_as_guest(0x40000118), 1);
	assert_int_equal(wrmsr_as_guest(0x40000118, 2), -EINVAL);
	assert_int_equal(wrmsr_as_guest(0x40000003, 0), -ENOENT);
	nested_hyperv_reset(vcpu);
	assert_int_equal(rdmsr_as_guest(0x40000118), 0);
	assert_int_equal(rdmsr_as_guest(ASSIST_MSR), 0);
}

static void hypercall_page(void **state)
{
	put_u64(OTHER, 0);
	assert_int_equal(wrmsr_as_guest(HYPERCALL, OTHER | 1), 0);
	assert_int_equal(rdmsr_as_guest(HYPERCALL), OTHER);	/* not before the guest has said who it is */
	assert_int_equal(wrmsr_as_guest(GUEST_OS_ID, 0x8100000000000000), 0);
	assert_int_equal(wrmsr_as_guest(HYPERCALL, FAKE_MMIO | 1), -EINVAL);
	assert_int_equal(wrmsr_as_guest(HYPERCALL, OTHER | 1), 0);
	assert_int_equal(rdmsr_as_guest(HYPERCALL), OTHER | 1);
	assert_int_equal(get_u32(OTHER), 0xc3c1010f);		/* VMCALL; RET */
	assert_int_equal(wrmsr_as_guest(GUEST_OS_ID, 0), 0);
	assert_int_equal(rdmsr_as_guest(HYPERCALL), OTHER);
	assert_int_equal(wrmsr_as_guest(HYPERCALL, OTHER | 2), 0);
	assert_int_equal(wrmsr_as_guest(HYPERCALL, PAGE), 0);	/* it is locked */
	assert_int_equal(rdmsr_as_guest(HYPERCALL), OTHER | 2);
}

static void hypercalls(void **state)
{
	forget();
	vcpu_reg_write(vcpu, REG_RAX, 77);
	vcpu_reg_write(vcpu, REG_RDX, 88);
	nested_vmx_hypercall(vcpu);
	assert_int_equal(skipped, 1);
	assert_int_equal(vcpu_reg_read(vcpu, REG_RAX), 2);	/* HV_STATUS_INVALID_HYPERCALL_CODE */
	assert_int_equal(vcpu_reg_read(vcpu, REG_RDX), 88);
	mode_32();
	nested_vmx_hypercall(vcpu);
	assert_int_equal(vcpu_reg_read(vcpu, REG_RDX), 0);
	forget();
	set_cpl(3);
	nested_vmx_hypercall(vcpu);
	assert_true(fake.faulted && fake.vector == X86_UD && !skipped);
}

static void assist_page(void **state)
{
	put_u64(ASSIST, ~0ull);
	assert_int_equal(wrmsr_as_guest(ASSIST_MSR, FAKE_MMIO | 1), -EINVAL);
	assert_int_equal(wrmsr_as_guest(ASSIST_MSR, FAKE_MMIO), 0);
	assert_int_equal(wrmsr_as_guest(ASSIST_MSR, ASSIST | 1), 0);
	assert_int_equal(rdmsr_as_guest(ASSIST_MSR), ASSIST | 1);
	assert_int_equal(get_u64(ASSIST), 0xffffffff00000000);	/* the word about EOI is cleared, and no other */
}

/* --- entries --- */

static int enter_l2(enum exit_reason reason) { return execute(reason, 0, 0); }

/* VMLAUNCH and VMRESUME: there is no launch state, and no VMPTRLD before. */
static void enters(void **state)
{
	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	assert_true(nested.enlightened);
	assert_int_equal(nested.current_ptr, PAGE);
	assert_int_equal(enter_l2(VMLAUNCH), ENTERED_L2);
	assert_int_equal(enter_l2(VMLAUNCH), ENTERED_L2);
	assert_int_equal(execute(EXIT_REASON_VMPTRST, PLAIN, DATA), SUCCEEDED);
	assert_int_equal(get_u64(DATA), PAGE);
	/* As Hyper-V's own hypervisor has it. */
	put_u32(PAGE, VMCS12_REVISION);
	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	assert_string_equal(fake.words, "");
}

static void refused(u64 page, u32 version, const char *words)
{
	fake.words[0] = 0;
	put_u64(ASSIST + 0x30, PAGE);
	put_u32(PAGE, 1);
	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	put_u64(ASSIST + 0x30, page);
	put_u32(PAGE, version);
	assert_int_equal(enter_l2(VMRESUME), INVALID);
	if (!strstr(fake.words, words))
		fail_msg("%s: no %s", fake.words, words);
	assert_false(nested.enlightened);
	assert_int_equal(nested.current_ptr, NO_VMCS);
}

static void bad_pages_and_versions(void **state)
{
	refused(PAGE | 8, 1, "is at 0x51008, expected a page of RAM");
	refused(FAKE_MMIO, 1, "is at 0x50000000, expected a page of RAM");
	refused(FAKE_RAM_SIZE - PAGE_SIZE / 2, 1, "expected a page");
	refused(~0ull, 1, "expected a page");
	refused(1ull << 60, 1, "expected a page");
	refused(PAGE, 0, "at 0x51000 has version 0x0, expected 1");
	refused(PAGE, 2, "has version 0x2, expected 1");
	refused(PAGE, VMCS12_REVISION + 1, "has version");
	refused(PAGE, ~0u, "has version 0xffffffff");
}

/* Where the byte is 0, or there is no VP assist page, the current VMCS counts. */
static void plain_entries(void **state)
{
	put_u64(ASSIST + 0x28, ~0xffull);
	assert_int_equal(enter_l2(VMLAUNCH), INVALID);
	assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, REGION), SUCCEEDED);
	assert_int_equal(enter_l2(VMLAUNCH), ENTERED_L2);
	assert_false(nested.enlightened);
	/* The plain one is written back when the enlightened one takes its place. */
	put_u64(ASSIST + 0x28, 0x100 | 1);
	vmcs12_writen(&vmcs12, GUEST_RSP, 0x1234);
	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	assert_int_equal(nested.current_ptr, PAGE);
	assert_int_equal(vmcs12_readn(&vmcs12, GUEST_RSP), 0);
	assert_int_equal(get_u64(REGION + offsetof(struct vmcs12, fields) + 8 * vmcs12_place(GUEST_RSP.encoding)), 0x1234);
	put_u64(ASSIST + 0x28, 0);
	assert_int_equal(enter_l2(VMRESUME), INVALID);
	put_u64(ASSIST + 0x28, 1);
	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	assert_int_equal(wrmsr_as_guest(ASSIST_MSR, ASSIST), 0);
	assert_int_equal(enter_l2(VMRESUME), INVALID);
}

static void other_instructions(void **state)
{
	put_u64(PAGE + 0x330, 0xabcd);
	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	vcpu_reg_write(vcpu, REG_RAX, GUEST_RIP.encoding);
	assert_int_equal(execute(EXIT_REASON_VMWRITE, REGISTER(REG_RCX) | REGISTER_2(REG_RAX), 0), INVALID);
	assert_int_equal(execute(EXIT_REASON_VMREAD, REGISTER(REG_RCX) | REGISTER_2(REG_RAX), 0), SUCCEEDED);
	assert_int_equal(vcpu_reg_read(vcpu, REG_RCX), 0xabcd);
	/* VMfailValid writes the error into the page. */
	FAKE(GUEST_INTERRUPTIBILITY) = INTERRUPTIBILITY_MOV_SS;
	assert_int_equal(enter_l2(VMRESUME), 26);
	assert_int_equal(get_u32(PAGE + 0x2b0), 26);
	FAKE(GUEST_INTERRUPTIBILITY) = 0;
	/* VMCLEAR lets go of it and writes nothing into it, or into another one. */
	put_u64(PAGE + 8, 0x1122334455667788);
	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	assert_int_equal(execute_with(EXIT_REASON_VMCLEAR, PAGE), SUCCEEDED);
	assert_int_equal(nested.current_ptr, NO_VMCS);
	put_u64(OTHER + 8, 0x1122334455667788);
	assert_int_equal(execute_with(EXIT_REASON_VMCLEAR, OTHER), SUCCEEDED);
	assert_int_equal(get_u64(PAGE + 8), 0x1122334455667788);
	assert_int_equal(get_u64(OTHER + 8), 0x1122334455667788);
	/* VMXOFF the same. */
	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	assert_int_equal(execute(EXIT_REASON_VMXOFF, 0, 0), SUCCEEDED);
	assert_int_equal(get_u64(PAGE + 8), 0x1122334455667788);
}

/* --- the page --- */

enum { READ_ALWAYS = 16, NOT_READ = 17 };

/* Of each group by its clean field's number some, or all, fields: where they are, and whether exits write them. */
static const struct {
	u16 offset, encoding;
	u8 clean;
	bool saved;
} fields[] = {
	{ 0x068, 0x2000, 0, false },	/* I/O bitmaps */
	{ 0x070, 0x2002, 0, false },
	{ 0x078, 0x2004, 1, false },	/* MSR bitmap */
	{ 0x190, 0x2010, 2, false },	/* TSC offset */
	{ 0x198, 0x2012, 2, false },	/* virtual-APIC address */
	{ 0x05c, 0x4000, 3, false },	/* pin-based controls */
	{ 0x060, 0x400c, 3, false },	/* VM-exit controls */
	{ 0x064, 0x401e, 3, false },	/* secondary controls */
	{ 0x314, 0x4002, 4, false },	/* primary controls */
	{ 0x320, 0x4016, 5, true },	/* injected event, its error code and length */
	{ 0x324, 0x4018, 5, true },
	{ 0x328, 0x401a, 5, true },
	{ 0x31c, 0x4012, 6, true },	/* VM-entry controls */
	{ 0x318, 0x4004, 7, false },	/* exception bitmap */
	{ 0x200, 0x6000, 8, false },	/* CR0 mask */
	{ 0x218, 0x6006, 8, false },	/* CR4 read shadow */
	{ 0x220, 0x6800, 8, true },	/* CR0, CR3, CR4, DR7 */
	{ 0x228, 0x6802, 8, true },
	{ 0x230, 0x6804, 8, true },
	{ 0x238, 0x681a, 8, true },
	{ 0x270, 0x201a, 9, false },	/* EPT pointer */
	{ 0x278, 0x0000, 9, false },	/* VPID */
	{ 0x300, 0x681c, 10, true },	/* RSP, RFLAGS, interruptibility */
	{ 0x308, 0x6820, 10, true },
	{ 0x310, 0x4824, 10, true },
	{ 0x1a0, 0x2800, 11, false },	/* link pointer */
	{ 0x1a8, 0x2802, 11, true },	/* DEBUGCTL, PAT, EFER */
	{ 0x1b8, 0x2806, 11, true },
	{ 0x1c0, 0x280a, 11, true },	/* PDPTEs */
	{ 0x1d8, 0x2810, 11, true },
	{ 0x1e0, 0x6822, 11, true },	/* pending debug exceptions */
	{ 0x1f0, 0x6826, 11, true },	/* SYSENTER_EIP */
	{ 0x1f8, 0x4826, 11, true },	/* activity state */
	{ 0x1fc, 0x482a, 11, true },	/* SYSENTER_CS */
	{ 0x080, 0x0800, 12, true },	/* ES */
	{ 0x08e, 0x080e, 12, true },	/* TR */
	{ 0x090, 0x4800, 12, true },	/* ES limit */
	{ 0x0b4, 0x4812, 12, true },	/* IDTR limit */
	{ 0x0b8, 0x4814, 12, true },	/* ES, TR access rights */
	{ 0x0d4, 0x4822, 12, true },
	{ 0x0d8, 0x6806, 12, true },	/* ES base */
	{ 0x120, 0x6818, 12, true },	/* IDTR base */
	{ 0x240, 0x6c06, 13, false },	/* host FS base */
	{ 0x260, 0x6c0e, 13, false },	/* host IDTR base */
	{ 0x268, 0x6c14, 13, false },	/* host RSP */
	{ 0x008, 0x0c00, 14, false },	/* host ES */
	{ 0x014, 0x0c0c, 14, false },	/* host TR */
	{ 0x018, 0x2c00, 14, false },	/* host PAT, EFER */
	{ 0x020, 0x2c02, 14, false },
	{ 0x028, 0x6c00, 14, false },	/* host CR0 */
	{ 0x038, 0x6c04, 14, false },	/* host CR4 */
	{ 0x040, 0x6c10, 14, false },	/* host SYSENTER_ESP */
	{ 0x048, 0x6c12, 14, false },
	{ 0x050, 0x6c16, 14, false },	/* host RIP */
	{ 0x058, 0x4c00, 14, false },	/* host SYSENTER_CS */
	{ 0x330, 0x681e, READ_ALWAYS, true },	/* RIP */
	{ 0x32c, 0x401c, READ_ALWAYS, false },	/* TPR threshold */
	{ 0x140, 0x2006, READ_ALWAYS, false },	/* MSR lists */
	{ 0x150, 0x200a, READ_ALWAYS, false },
	{ 0x158, 0x6008, READ_ALWAYS, false },	/* CR3 targets */
	{ 0x170, 0x600e, READ_ALWAYS, false },
	{ 0x178, 0x4006, READ_ALWAYS, false },	/* page-fault mask, match */
	{ 0x17c, 0x4008, READ_ALWAYS, false },
	{ 0x180, 0x400a, READ_ALWAYS, false },	/* CR3-target count */
	{ 0x184, 0x400e, READ_ALWAYS, false },	/* counts of MSRs */
	{ 0x188, 0x4010, READ_ALWAYS, false },
	{ 0x18c, 0x4014, READ_ALWAYS, false },
	{ 0x2a8, 0x2400, NOT_READ, true },	/* guest-physical address */
	{ 0x2b0, 0x4400, NOT_READ, true },	/* instruction error */
	{ 0x2b4, 0x4402, NOT_READ, true },	/* exit reason */
	{ 0x2b8, 0x4404, NOT_READ, true },	/* interruption information, its error code */
	{ 0x2bc, 0x4406, NOT_READ, true },
	{ 0x2c0, 0x4408, NOT_READ, true },	/* IDT vectoring */
	{ 0x2c4, 0x440a, NOT_READ, true },
	{ 0x2c8, 0x440c, NOT_READ, true },	/* instruction length, information */
	{ 0x2cc, 0x440e, NOT_READ, true },
	{ 0x2d0, 0x6400, NOT_READ, true },	/* qualification */
	{ 0x2f8, 0x640a, NOT_READ, true },	/* linear address */
};

static unsigned width(u16 encoding)
{
	const u8 widths[] = { 2, 8, 4, 8 };

	return widths[encoding >> 13 & 3];
}

static u64 in_page(unsigned i)
{
	u64 value = 0;

	memcpy(&value, fake.ram + PAGE + fields[i].offset, width(fields[i].encoding));
	return value;
}

static u64 in_vmcs12(unsigned i)
{
	return vmcs12.fields[vmcs12_place(fields[i].encoding)];
}

static void fill_page(u8 seed)
{
	for (unsigned i = 4; i < PAGE_SIZE; i++)
		fake.ram[PAGE + i] = (u8)(i * 37 + (i >> 8) + seed);
}

/* Which fields are as in the page; the others must be as before. */
static void check_read(u32 clean, bool all, u64 before[])
{
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		bool read = fields[i].clean != NOT_READ && (all || fields[i].clean == READ_ALWAYS ||
							    !(clean >> fields[i].clean & 1));

		/* execute() writes an instruction error of its own. */
		if (fields[i].encoding != INSTRUCTION_ERROR.encoding && in_vmcs12(i) != (read ? in_page(i) : before[i]))
			fail_msg("clean fields 0x%x: field 0x%x is 0x%lx", clean, fields[i].encoding, in_vmcs12(i));
		before[i] = in_vmcs12(i);
	}
}

/* A clean bit means that the group is as it was, unless the page is another one or it is VMLAUNCH. */
static void clean_fields(void **state)
{
	u64 before[ARRAY_SIZE(fields)] = { 0 };
	u8 seed = 1;

	fill_page(seed++);
	put_u32(PAGE + CLEAN_FIELDS, ~0u);
	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	check_read(~0u, true, before);
	for (unsigned bit = 0; bit < 16; bit++) {
		fill_page(seed++);
		put_u32(PAGE + CLEAN_FIELDS, ~(1u << bit));
		assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
		check_read(~(1u << bit), false, before);
		assert_int_equal(get_u32(PAGE + CLEAN_FIELDS), 0xffff);	/* for L1, which only clears them */
		fill_page(seed++);
		put_u32(PAGE + CLEAN_FIELDS, 1u << bit);
		assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
		check_read(1u << bit, false, before);
	}
	fill_page(seed++);
	put_u32(PAGE + CLEAN_FIELDS, ~0u);
	assert_int_equal(enter_l2(VMLAUNCH), ENTERED_L2);
	check_read(~0u, true, before);
	/* The same address is another page after VMCLEAR. */
	assert_int_equal(execute_with(EXIT_REASON_VMCLEAR, PAGE), SUCCEEDED);
	fill_page(seed++);
	put_u32(PAGE + CLEAN_FIELDS, ~0u);
	memset(before, 0, sizeof(before));
	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	check_read(~0u, true, before);
}

/* Nothing of one enlightened VMCS is left in the next, and each field has its own place. */
static void another_page(void **state)
{
	unsigned used = 0;

	fill_page(1);
	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	for (unsigned i = 0; i < VMCS12_FIELDS; i++)
		used += vmcs12.fields[i] != 0;
	assert_int_equal(used, 113);	/* all that L1 writes and Lamina offers */
	put_u32(OTHER, 1);
	put_u64(ASSIST + 0x30, OTHER);
	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	for (unsigned i = 0; i < VMCS12_FIELDS; i++)
		assert_int_equal(vmcs12.fields[i], 0);
}

/* An exit writes guest state and exit information, and nothing else. */
static void exits_write_the_page(void **state)
{
	u8 before[PAGE_SIZE];

	assert_int_equal(enter_l2(VMRESUME), ENTERED_L2);
	fill_page(9);
	memcpy(before, fake.ram + PAGE, PAGE_SIZE);
	for (unsigned i = 0; i < VMCS12_FIELDS; i++)
		vmcs12.fields[i] = 0x0101010101010101ull * (i + 1);
	nested_evmcs_store(vcpu);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		u64 expected = in_vmcs12(i), mask = ~0ull >> (64 - 8 * width(fields[i].encoding));

		if (fields[i].saved)
			assert_int_equal(in_page(i), expected & mask);
		else
			assert_memory_equal(fake.ram + PAGE + fields[i].offset, before + fields[i].offset,
					    width(fields[i].encoding));
	}
	/* Controls, host state and what is behind the fields. */
	assert_memory_equal(fake.ram + PAGE, before, 0x80);
	assert_memory_equal(fake.ram + PAGE + 0x128, before + 0x128, 0x1a8 - 0x128);
	assert_memory_equal(fake.ram + PAGE + 0x240, before + 0x240, 0x2a8 - 0x240);
	assert_memory_equal(fake.ram + PAGE + CLEAN_FIELDS, before + CLEAN_FIELDS, PAGE_SIZE - CLEAN_FIELDS);
}

int main(void)
{
#define EVMCS_TEST(name) cmocka_unit_test_setup_teardown(name, evmcs_setup, teardown)
	const struct CMUnitTest tests[] = {
		EVMCS_TEST(discovery), EVMCS_TEST(no_msrs_without_it), EVMCS_TEST(msrs), EVMCS_TEST(apic_msrs), EVMCS_TEST(hypercall_page),
		EVMCS_TEST(hypercalls), EVMCS_TEST(assist_page),
		EVMCS_TEST(enters), EVMCS_TEST(bad_pages_and_versions), EVMCS_TEST(plain_entries), EVMCS_TEST(other_instructions),
		EVMCS_TEST(clean_fields), EVMCS_TEST(another_page), EVMCS_TEST(exits_write_the_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
