/* SPDX-License-Identifier: MIT */
/*
 * A guest hypervisor that executes VMX instructions in any state, with any operand, on regions that it writes to at any
 * time. The oracle is a model from the manual's pseudocode: what each instruction does, and what each region holds. An
 * entry's check has to agree with all rules, applied to the state as it is, whatever has been checked before. With Hyper-V's
 * interface entries may be enlightened ones, whose VMCS is a page that is written to as any other.
 */
/* link: vmx/nested/instructions.c vmx/nested/region.c vmx/nested/result.c vmx/nested/vmcs12.c vmx/nested/check.c */
/* link: vmx/nested/evmcs.c */
/* link: vmx/nested/caps.c vmx/rules/rules.c vmx/rules/rule.c vmx/rules/controls.c vmx/rules/host.c vmx/rules/guest.c */
/* link: vmx/rules/segments.c vmx/rules/nonregister.c vmx/rules/msr.c core/observe/entry_rule.c */
#include "tests/fuzz/fuzz.h"

#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "core/emulate/gwalk.h"
#include "core/emulate/watch.h"
#include "core/observe/trace.h"
#include "vmx/nested/nested.h"
#include "vmx/nested/operand.h"

#define PAGES	      6
#define ASSIST	      ((PAGES - 1) * PAGE_SIZE)
#define STEPS	      128
#define PHYSICAL_BITS 40
#define FLAGS	      (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
enum { SUCCEEDED = 0, INVALID = 1000, ENTERS = 2000, FAULT = 3000, OPERAND_FAULT = 4000 };

struct vmx_caps vmx_caps;

static u8 ram[PAGES * PAGE_SIZE];
static struct vm vm;
static const struct vm_config config = { .nested = NESTED_ON };
static struct vcpu_vmx vmx;
static struct nested_vmx nested;
static struct vmcs12 vmcs12;
static struct nested_checks checks;
static struct vcpu *const vcpu = &vmx.vcpu;
static u64 controls[CTL_XCR0 + 1];
static u32 cs_rights, ss_rights, interruptibility;

/* What the instruction that is executed has as its operand in memory; it may fault. */
static u64 operand[2];
static bool operand_faults;
static int result;

/* --- the model: SDM, "VMX Instruction Reference" --- */

static struct {
	bool on;
	u64 vmxon, current;
	bool enlightened;	/* `current` is: nobody knows what is in it */
	/* By page, of regions that only VMX instructions have written to since VMCLEAR. */
	struct {
		bool known, launched;
		u64 fields[VMCS12_FIELDS];	/* as in struct vmcs12, whose places the sweep of the unit test checks */
	} region[PAGES];
} model;

/* --- the rest of Lamina --- */

static int step_over_it(struct vcpu *v)
{
	result = SUCCEEDED;
	return 0;
}

static const struct vcpu_ops ops = { .skip_instruction = step_over_it };

u64 vmx_control_get(struct vcpu *v, enum vcpu_control control) { return controls[control]; }
u64 control_cr4_allowed(const struct vcpu *v) { return 0x3727ff; }
bool cpuid_has(const struct vcpu *v, enum guest_feature feature) { return true; }
u8 cpuid_physical_bits(const struct vcpu *v) { return PHYSICAL_BITS; }
bool gwalk_canonical(struct vcpu *v, gva_t gva) { return (u64)((s64)(gva << 16) >> 16) == gva; }
void watch_begin(struct vcpu *v) { }
void watch_end(struct vcpu *v) { }
void shadow_drop_root(struct shadow *shadow, gpa_t root) { abort(); }
void shadow_drop_all(struct shadow *shadow) { abort(); }
void event_raise(struct vcpu *v, u8 vector) { result = FAULT + vector; }
bool vm_once(struct vm *v, enum once_kind kind, u64 index) { return true; }
const char *vm_name(const struct vm *v) { return "fuzz"; }

void event_raise_error(struct vcpu *v, u8 vector, u32 error_code)
{
	fuzz_assert(error_code == 0);
	result = FAULT + vector;
}

void trace_l2_refused(struct vcpu *v, u64 code, u64 qualification, const char *rule)
{
	fuzz_assert(rule);
}

void nested_shadowing_begin(struct vcpu *v) { }
void nested_shadowing_end(struct vcpu *v) { }
void nested_shadowing_read(struct vcpu *v) { }
void nested_shadowing_write(struct vcpu *v) { }
int nested_hyperv_msr_read(struct vcpu *v, u32 msr, u64 *value) { abort(); }
int nested_hyperv_msr_write(struct vcpu *v, u32 msr, u64 value) { abort(); }
void nested_hyperv_cpuid(const struct vcpu *v, u32 leaf, struct cpuid_regs *regs) { abort(); }

static bool is_ram(gpa_t gpa, u64 size)
{
	return gpa < sizeof(ram) && size <= sizeof(ram) - gpa;
}

int guest_read(const struct vm *v, gpa_t gpa, void *to, u64 size)
{
	if (!is_ram(gpa, size))
		return -EFAULT;
	memcpy(to, ram + gpa, size);
	return 0;
}

void *guest_ptr(const struct vm *v, gpa_t gpa, u64 size)
{
	return is_ram(gpa, size) ? ram + gpa : NULL;
}

int guest_write(const struct vm *v, gpa_t gpa, const void *from, u64 size)
{
	if (!is_ram(gpa, size))
		return -EFAULT;
	memcpy(ram + gpa, from, size);
	return 0;
}

/* lib/string.c's, which would replace the C library's other functions, too. */
bool str_copy(char *to, const char *from, size_t size)
{
	return (size_t)snprintf(to, size, "%s", from) < size;
}

static int access_operand(void)
{
	result = OPERAND_FAULT;
	return operand_faults ? -EFAULT : 0;
}

int nested_operand_read(struct vcpu *v, u32 info, unsigned size, u64 *value)
{
	*value = size == 4 ? (u32)operand[0] : operand[0];
	return access_operand();
}

int nested_operand_read_pair(struct vcpu *v, u32 info, u64 pair[2])
{
	memcpy(pair, operand, sizeof(operand));
	return access_operand();
}

int nested_operand_write(struct vcpu *v, u32 info, unsigned size, u64 value)
{
	if (access_operand())
		return -EFAULT;
	operand[0] = value;
	return 0;
}

u64 fake_vmread(u32 encoding, bool *fail)
{
	if (encoding == guest_access_rights(SEG_CS).encoding)
		return cs_rights;
	if (encoding == guest_access_rights(SEG_SS).encoding)
		return ss_rights;
	fuzz_assert(encoding == GUEST_INTERRUPTIBILITY.encoding || encoding == EXIT_INSTRUCTION_INFO.encoding);
	return encoding == GUEST_INTERRUPTIBILITY.encoding ? interruptibility : vmx.qualification;
}

void fake_vmwrite(u32 encoding, u64 value, bool *fail) { abort(); }
void vmcs_read_failed(u32 encoding) { abort(); }
void vmcs_write_failed(u32 encoding, u64 value) { abort(); }

/* --- entries --- */

static void first_rule(void *context, const struct violation *violation)
{
	const char **name = context;

	if (!*name)
		*name = violation->name;
}

/* The state with vmcs12's fields, put together in another way, and all rules. */
static const char *broken_rule(void)
{
	struct vmx_entry_state s = checks.l1;
	const char *name = NULL;

	for (unsigned i = 0; i < VMX_FIRST_PROCESSOR; i++) {
		const u64 *field = vmcs12_find(&vmcs12, vmx_field_number(i));

		((u64 *)&s)[i] = field ? *field : 0;
	}
	s.current_vmcs = model.current;
	s.legacy = !(controls[CTL_EFER] & EFER_LMA);
	s.virtual_tpr = is_ram(s.virtual_apic + 0x80, 1) && (s.primary & PRIMARY_TPR_SHADOW) ? ram[s.virtual_apic + 0x80] : 0xff;
	s.link_revision = is_ram(s.link_pointer & PAGE_MASK, 4) ? *(u32 *)(ram + (s.link_pointer & PAGE_MASK)) : ~0u;
	if ((s.primary >> 31) && (s.secondary & 1) && !(s.apic_access & 0xfff) && !is_ram(s.apic_access, PAGE_SIZE))
		return "control.apic-access.ram";	/* comes first: L0's own */
	vmx_check_entry(&s, first_rule, &name);
	return name;
}

void nested_vmx_enter(struct vcpu *v)
{
	const char *broken = broken_rule();
	struct nested_check check;

	nested_vmx_check(v, &check);
	if (broken) {
		fuzz_assert(!strcmp(check.rule, broken));
		fuzz_assert(check.outcome == (broken[0] == 'g' ? NESTED_ENTRY_FAILED : NESTED_ENTRY_VMFAIL));
	} else if (check.outcome != NESTED_ENTRY_OK) {	/* of the PDPTEs in memory */
		fuzz_assert(check.outcome == NESTED_ENTRY_FAILED && check.qualification == 2);
	}
	if (check.outcome == NESTED_ENTRY_OK)
		vmcs12.launched = 1;
	result = ENTERS;
}

/* --- what an instruction must do --- */

static bool region_refused(u64 address)
{
	return (address & 0xfff) || address >> PHYSICAL_BITS;
}

/* TLFS, "Nested Virtualization": the last page is the VP assist page. */
static bool asks_for_enlightened_entry(u64 *page)
{
	memcpy(page, ram + ASSIST + 0x30, sizeof(*page));
	return (nested.hyperv.assist & NESTED_ASSIST_ENABLED) && ram[ASSIST + 0x28];
}

static u32 revision_at(u64 address)
{
	u32 revision = ~0u;

	if (is_ram(address, sizeof(revision)))
		memcpy(&revision, ram + address, sizeof(revision));
	return revision;
}

static int vmfail(int error)
{
	return model.current == NO_VMCS ? INVALID : error;
}

static int enter_operation(void)
{
	u64 cr0 = controls[CTL_CR0], cr4 = controls[CTL_CR4];

	if (model.on)
		return vmfail(15);
	if ((cr0 & 0x80000021) != 0x80000021 || !(cr4 & CR4_VMXE) || (cr4 & ~0x3727ffull))
		return FAULT + X86_GP;
	if (operand_faults)
		return OPERAND_FAULT;
	if (region_refused(operand[0]) || revision_at(operand[0]) != VMCS12_REVISION)
		return INVALID;
	model.on = true;
	model.vmxon = operand[0];
	return SUCCEEDED;
}

static void let_go(void)
{
	if (model.current != NO_VMCS && !model.enlightened)
		model.region[model.current / PAGE_SIZE].known = true;
	else if (model.current != NO_VMCS)
		model.region[model.current / PAGE_SIZE].known = false;
	model.enlightened = false;
	model.current = NO_VMCS;
}

static int clear_region(void)
{
	u64 page;

	if (operand_faults)
		return OPERAND_FAULT;
	if (region_refused(operand[0]))
		return vmfail(2);
	if (operand[0] == model.vmxon)
		return vmfail(3);
	if (operand[0] < sizeof(ram) && (operand[0] == model.current || !asks_for_enlightened_entry(&page)))
		model.region[operand[0] / PAGE_SIZE].launched = false;
	if (operand[0] == model.current)
		let_go();
	return SUCCEEDED;
}

static int load_region(void)
{
	if (operand_faults)
		return OPERAND_FAULT;
	if (region_refused(operand[0]))
		return vmfail(9);
	if (operand[0] == model.vmxon)
		return vmfail(10);
	if (revision_at(operand[0]) != VMCS12_REVISION)
		return vmfail(11);
	if (operand[0] != model.current || model.enlightened)
		let_go();
	model.current = operand[0];
	return SUCCEEDED;
}

static int access_field(bool write, u32 info)
{
	u64 encoding = vcpu->regs[INFO_REGISTER_2(info)], value = operand[0];
	bool wide = controls[CTL_EFER] & EFER_LMA, there;

	if (model.current == NO_VMCS || (write && model.enlightened))
		return INVALID;
	if (write && operand_faults && !(info & INFO_IS_REGISTER))
		return OPERAND_FAULT;
	if (!wide)
		encoding = (u32)encoding;
	there = vmcs12_find(&vmcs12, encoding);
	if (!there)
		return vmfail(12);
	if (!write && operand_faults && !(info & INFO_IS_REGISTER))
		return OPERAND_FAULT;
	if (write && info & INFO_IS_REGISTER)
		value = vcpu->regs[INFO_REGISTER(info)];
	if (write) {
		u64 *field = &model.region[model.current / PAGE_SIZE].fields[vmcs12_place((u32)encoding)];
		unsigned width = encoding >> 13 & 3;

		value = wide ? value : (u32)value;
		if (encoding & 1)
			*field = (u32)*field | value << 32;
		else
			*field = width == 0 ? (u16)value : width == 2 ? (u32)value : value;
	}
	return SUCCEEDED;
}

static int entry(bool launch)
{
	bool launched;
	u64 page;

	if (asks_for_enlightened_entry(&page)) {
		if (page != model.current || !model.enlightened)
			let_go();
		if (!(page & ~PAGE_MASK) && is_ram(page, PAGE_SIZE) &&
		    (revision_at(page) == 1 || revision_at(page) == VMCS12_REVISION)) {
			model.current = page;
			model.enlightened = true;
		} else {
			let_go();
		}
	} else if (model.enlightened && (nested.hyperv.assist & NESTED_ASSIST_ENABLED)) {
		let_go();
	}
	if (model.current == NO_VMCS)
		return INVALID;
	if (model.enlightened)
		return interruptibility & INTERRUPTIBILITY_MOV_SS ? 26 : ENTERS;
	launched = model.region[model.current / PAGE_SIZE].launched;
	if (interruptibility & INTERRUPTIBILITY_MOV_SS)
		return 26;
	if (launch && launched)
		return 4;
	return launch || launched ? ENTERS : 5;
}

static int invalidation(bool ept, u32 info)
{
	u64 type = vcpu->regs[INFO_REGISTER_2(info)];

	if (!(controls[CTL_EFER] & EFER_LMA))
		type = (u32)type;
	if (ept ? type != 1 && type != 2 : type > 3)
		return vmfail(28);
	if (operand_faults)
		return OPERAND_FAULT;
	if (ept)
		return type == 1 && !vmx_ept_pointer_allowed(&checks.l1, operand[0]) ? vmfail(28) : SUCCEEDED;
	if (operand[0] >> 16 || (type != 2 && !operand[0]) || (type == 0 && !gwalk_canonical(vcpu, operand[1])))
		return vmfail(28);
	return SUCCEEDED;
}

static int expected(enum exit_reason reason, u32 info)
{
	bool long_mode = controls[CTL_EFER] & EFER_LMA;
	bool wrong = long_mode ? !(cs_rights & ACCESS_RIGHTS_L)
			       : !(controls[CTL_CR0] & CR0_PE) || (vcpu->regs[REG_RFLAGS] & RFLAGS_VM);

	if (wrong || (reason == EXIT_REASON_VMXON ? !(controls[CTL_CR4] & CR4_VMXE) : !model.on))
		return FAULT + X86_UD;
	if (ss_rights & 0x60)
		return FAULT + X86_GP;
	switch (reason) {
	case EXIT_REASON_VMXON:
		return enter_operation();
	case EXIT_REASON_VMXOFF:
		model.on = false;
		let_go();
		return SUCCEEDED;
	case EXIT_REASON_VMCALL:
		return vmfail(1);
	case EXIT_REASON_VMCLEAR:
		return clear_region();
	case EXIT_REASON_VMPTRLD:
		return load_region();
	case EXIT_REASON_VMPTRST:
		return operand_faults ? OPERAND_FAULT : SUCCEEDED;
	case EXIT_REASON_VMREAD:
		return access_field(false, info);
	case EXIT_REASON_VMWRITE:
		return access_field(true, info);
	case EXIT_REASON_VMLAUNCH:
		return entry(true);
	case EXIT_REASON_VMRESUME:
		return entry(false);
	case EXIT_REASON_INVEPT:
		return invalidation(true, info);
	default:
		return invalidation(false, info);
	}
}

/* --- the run --- */

static int ended(void)
{
	u64 flags = vcpu->regs[REG_RFLAGS] & FLAGS;

	if (result != SUCCEEDED)
		return result;
	if (!flags)
		return SUCCEEDED;
	if (flags == RFLAGS_CF)
		return INVALID;
	fuzz_assert(flags == RFLAGS_ZF);
	return (int)vmcs12_read32(&vmcs12, INSTRUCTION_ERROR);
}

static void forget_region(u64 page)
{
	model.region[page].known = false;
}

static void after_vmptrld(bool was_current)
{
	unsigned page = (unsigned)(model.current / PAGE_SIZE);

	/* What L1 itself has put into a region is not the model's business; it fits the fields' widths. */
	if (!model.region[page].known && !was_current) {
		model.region[page].launched = vmcs12.launched;
		for (unsigned i = 0; i < VMX_FIRST_PROCESSOR; i++) {
			const u64 *field = vmcs12_find(&vmcs12, vmx_field_number(i));

			fuzz_assert(!field || !(*field & ~vmcs12_width_mask(vmx_field_number(i))));
		}
		memcpy(model.region[page].fields, vmcs12.fields, sizeof(vmcs12.fields));
		model.region[page].known = true;
	}
}

/* No field has more bits than its width. An exit changes no byte of the page that it does not write. */
static void check_enlightened(void)
{
	static u8 before[sizeof(ram)];

	for (unsigned i = 0; i < VMX_FIRST_PROCESSOR; i++) {
		const u64 *field = vmcs12_find(&vmcs12, vmx_field_number(i));

		fuzz_assert(!field || !(*field & ~vmcs12_width_mask(vmx_field_number(i))));
	}
	memcpy(before, ram, sizeof(ram));
	nested_evmcs_store(vcpu);
	fuzz_assert(!memcmp(ram + model.current, before + model.current, 8));
	memcpy(ram + model.current, before + model.current, PAGE_SIZE);
	fuzz_assert(!memcmp(ram, before, sizeof(ram)));
}

static void compare(void)
{
	fuzz_assert(nested.vmxon == model.on);
	fuzz_assert(nested.current_ptr == model.current);
	fuzz_assert(nested.enlightened == model.enlightened);
	if (model.current == NO_VMCS)
		return;
	if (model.enlightened) {
		check_enlightened();
		return;
	}
	fuzz_assert(!vmcs12.launched == !model.region[model.current / PAGE_SIZE].launched);
	/* VMfail writes the instruction error. */
	model.region[model.current / PAGE_SIZE].fields[vmcs12_place(INSTRUCTION_ERROR.encoding)] =
		vmcs12_read32(&vmcs12, INSTRUCTION_ERROR);
	fuzz_assert(!memcmp(vmcs12.fields, model.region[model.current / PAGE_SIZE].fields, sizeof(vmcs12.fields)));
}

static void execute(enum exit_reason reason, u32 info)
{
	u64 before = model.enlightened ? NO_VMCS : model.current;
	int should;

	vcpu->exit_reason = reason;
	vmx.qualification = info;	/* fake_vmread() gives it as the instruction information */
	vcpu->regs[REG_RFLAGS] |= FLAGS;
	should = expected(reason, info);
	result = -1;
	nested_handle_instruction(vcpu);
	if (ended() != should) {
		fprintf(stderr, "reason %u: %d instead of %d\n", reason, ended(), should);
		abort();
	}
	if (should == SUCCEEDED && reason == EXIT_REASON_VMPTRLD)
		after_vmptrld(before == model.current);
	if (should == ENTERS && !model.enlightened)
		model.region[model.current / PAGE_SIZE].launched = vmcs12.launched;
	if (should == SUCCEEDED && reason == EXIT_REASON_VMREAD && !(info & INFO_IS_REGISTER))
		fuzz_assert((controls[CTL_EFER] & EFER_LMA) || !(operand[0] >> 32));
	compare();
}

/* Mostly pages of RAM. */
static u64 take_address(struct fuzz_input *input)
{
	u8 kind = (u8)fuzz_take(input, 1);

	if (kind < 0xc0)
		return kind % PAGES * PAGE_SIZE;
	return kind < 0xe0 ? fuzz_take(input, 3) : fuzz_take(input, 8);
}

/* 64-bit mode at CPL 0, in which VMX operation is possible, with changes. */
static void take_mode(struct fuzz_input *input)
{
	u8 how = (u8)fuzz_take(input, 1);

	controls[CTL_CR0] = 0x80000031 & ~(how & 1 ? CR0_NE : 0) & ~(how & 2 ? CR0_PE : 0);
	controls[CTL_CR4] = CR4_PAE | (how & 4 && !model.on ? 0 : CR4_VMXE);
	controls[CTL_EFER] = how & 8 ? 0 : EFER_LME | EFER_LMA;
	cs_rights = how & 16 ? 0xc09b : 0xa09b;
	ss_rights = 0xc093 | (how & 32 ? 0x60 : 0);
	interruptibility = how >> 6;
	vcpu->regs[REG_RFLAGS] = RFLAGS_FIXED | (how & 64 && how & 8 ? RFLAGS_VM : 0);
}

static const struct vmcs_setting good[] = {
	{ 0x4000, 0x3f }, { 0x4002, 0x84006172 }, { 0x401e, 0x4a3 }, { 0x2014, 0x3000 }, { 0x400c, 0x36fff }, { 0x4012, 0x13ff }, { 0x0000, 1 },
	{ 0x201a, 0x1e }, { 0x2800, ~0ull }, { 0x6c00, 0x80000021 }, { 0x6c04, 0x2020 }, { 0x0c02, 8 }, { 0x0c0c, 0x40 },
	{ 0x2c02, 0x500 }, { 0x6800, 0x80000021 }, { 0x6804, 0x2020 }, { 0x2806, 0x500 }, { 0x681a, 0x400 }, { 0x6820, 2 },
	{ 0x4802, 0xffffffff }, { 0x4816, 0xa09b }, { 0x4804, 0xffffffff }, { 0x4818, 0xc093 }, { 0x4814, 0x10000 },
	{ 0x481a, 0x10000 }, { 0x481c, 0x10000 }, { 0x481e, 0x10000 }, { 0x4820, 0x10000 }, { 0x480e, 0x67 }, { 0x4822, 0x8b },
};

static void write_good(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		vcpu->regs[REG_RAX] = good[i].encoding;
		vcpu->regs[REG_RCX] = good[i].value;
		execute(EXIT_REASON_VMWRITE, INFO_IS_REGISTER | (u32)REG_RCX << 3 | (u32)REG_RAX << 28);
	}
}

/* One of those that the rules look at, mostly. */
static u64 take_encoding(struct fuzz_input *input)
{
	u8 which = (u8)fuzz_take(input, 1);

	if (which < VMX_FIRST_PROCESSOR)
		return vmx_field_number(which);
	return which < 0xf8 ? fuzz_take(input, 2) : fuzz_take(input, 8);
}

static void run_step(struct fuzz_input *input)
{
	static const enum exit_reason reasons[] = {
		EXIT_REASON_VMXON, EXIT_REASON_VMXOFF, EXIT_REASON_VMCALL, EXIT_REASON_VMCLEAR, EXIT_REASON_VMPTRLD,
		EXIT_REASON_VMPTRST, EXIT_REASON_VMREAD, EXIT_REASON_VMWRITE, EXIT_REASON_VMLAUNCH, EXIT_REASON_VMRESUME,
		EXIT_REASON_INVEPT, EXIT_REASON_INVVPID,
	};
	u8 step = (u8)fuzz_take(input, 1);
	enum exit_reason reason = reasons[step % 16 % ARRAY_SIZE(reasons)];
	u32 info = (u32)REG_RAX << 28 | (u32)REG_RCX << 3 | (step & 64 ? 0 : INFO_IS_REGISTER);
	u64 at, value;

	operand_faults = step >> 5 == 7;
	switch (step % 16) {
	case 12:
		take_mode(input);
		return;
	case 13:	/* L1 writes to memory: to a current region, that has no effect */
		at = fuzz_take(input, 2) % sizeof(ram);
		ram[at] = (u8)fuzz_take(input, 1);
		if (at / PAGE_SIZE * PAGE_SIZE != model.current || model.enlightened)
			forget_region(at / PAGE_SIZE);
		return;
	case 14:
		at = take_address(input) & PAGE_MASK;
		/* An enlightened entry with this page, from now on; or a plain region. */
		if (step & 64) {
			nested.hyperv.assist = ASSIST | (step & 128 ? 0 : NESTED_ASSIST_ENABLED);
			ram[ASSIST + 0x28] = step & 32 ? 0 : 1;
			memcpy(ram + ASSIST + 0x30, &at, sizeof(at));
			forget_region(ASSIST / PAGE_SIZE);
		}
		if (is_ram(at, 4) && (at != model.current || model.enlightened)) {
			memcpy(ram + at, &(u32){ step & 16 ? 1 : VMCS12_REVISION }, 4);
			forget_region(at / PAGE_SIZE);
		}
		return;
	case 15:
		if (!operand_faults && model.current != NO_VMCS && !model.enlightened)
			write_good();
		return;
	}
	if (reason == EXIT_REASON_VMREAD || reason == EXIT_REASON_VMWRITE) {
		vcpu->regs[REG_RAX] = take_encoding(input);
		value = step & 16 ? fuzz_take(input, 8) : 1ull << (fuzz_take(input, 1) & 63);
		/* One bit of what is there, or another value. */
		if (!(step & 16) && vmcs12_find(&vmcs12, vcpu->regs[REG_RAX]))
			value ^= *vmcs12_find(&vmcs12, vcpu->regs[REG_RAX]);
		vcpu->regs[REG_RCX] = operand[0] = value;
	} else if (reason == EXIT_REASON_INVEPT || reason == EXIT_REASON_INVVPID) {
		vcpu->regs[REG_RAX] = fuzz_take(input, 1) & 7;
		operand[0] = fuzz_take(input, step & 16 ? 8 : 2);
		operand[1] = fuzz_take(input, 8);
	} else {
		operand[0] = take_address(input);
	}
	execute(reason, info);
}

void fuzz_one(const u8 *data, size_t size)
{
	const struct vmx_entry_state host = {
		.basic = BASIC_TRUE_CONTROLS, .allowed_pin = ~0u * BIT_ULL(32) | 0x16,
		.allowed_primary = ~0u * BIT_ULL(32) | 0x04006172, .allowed_secondary = ~0u * BIT_ULL(32),
		.allowed_exit = ~0u * BIT_ULL(32) | 0x36dfb, .allowed_entry = ~0u * BIT_ULL(32) | 0x11fb,
		.ept_vpid = ~0ull, .cr4_fixed1 = ~0ull,
	};
	struct fuzz_input input = { data, data + size };

	memset(ram, 0, sizeof(ram));
	memset(&vmx, 0, sizeof(vmx));
	memset(&nested, 0, sizeof(nested));
	memset(&model, 0, sizeof(model));
	memset(&checks, 0, sizeof(checks));
	vmx_caps = (struct vmx_caps){ .pin = PIN_VIRTUAL_NMI, .entry = ENTRY_LOAD_EFER | ENTRY_LOAD_PAT,
				      .exit = EXIT_LOAD_EFER | EXIT_LOAD_PAT | EXIT_SAVE_PAT };
	vcpu->vm = &vm;
	vm.config = &config;
	vcpu->ops = &ops;
	vcpu->regs_available = REGS_LAZY;
	vmx.nested = &nested;
	nested.vmcs12 = &vmcs12;
	nested.checks = &checks;
	nested.vmxon_ptr = nested.current_ptr = model.vmxon = model.current = NO_VMCS;
	nested_caps(vcpu, &host, &checks.l1);
	nested_checks_init(&nested);
	take_mode(&(struct fuzz_input){ NULL, NULL });
	for (unsigned step = 0; step < STEPS && input.at < input.end; step++)
		run_step(&input);
}

/* VMXON of page 0, VMPTRLD of another, valid fields, VMLAUNCH; then some changes with entries between them. */
size_t fuzz_seed(u8 *data, size_t max, unsigned which)
{
	const u8 begin[] = { 14, 0, 14, 1, 14, 2, 0, 0, 4, (u8)(1 + (which & 1)), 15, 8, 0 };
	/* The same with page 2 as the enlightened VMCS. */
	const u8 enlightened[] = { 14 | 64 | 16, 2, 9, 0 };
	size_t n = sizeof(begin);

	if (max < 128)
		return 0;
	memcpy(data, begin, n);
	if (which & 2) {
		memcpy(data + n, enlightened, sizeof(enlightened));
		n += sizeof(enlightened);
	}
	for (unsigned i = 0; i < 16; i++) {
		const u8 change[] = { 7, (u8)(which * 7 + i * 31), (u8)(which + i * 5), 9, 0 };

		memcpy(data + n, change, sizeof(change));
		n += sizeof(change);
	}
	return n;
}

void fuzz_repair(u8 *data, size_t size)
{
}
