/* SPDX-License-Identifier: MIT */
/* A guest without a program: its modes, and its visible state. */
#include "tests/selftest/machine.h"

#include "arch/cpu/x86.h"
#include "core/load/load.h"
#include "lib/string.h"
#include "svm/svm.h"
#include "vmx/vmx.h"

#define IVT    0x0u
#define IDT    0x20000u
#define GDT    0x21000u
#define PML4   0x30000u
#define PDPT   0x31000u
#define PD     0x32000u
#define MEMORY 0x33000u		/* all of it lies below */
#define STACK_LOW (MACHINE_STACK - 128)	/* what delivery may write to lies above */

#define PTE_SET (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY)

const char *const machine_mode_names[MODES] = { "real", "protected", "long" };

static void *at(const struct vcpu *vcpu, gpa_t gpa)
{
	return guest_ptr(vcpu->vm, gpa, 1);
}

static void write_slide(struct vcpu *vcpu, gpa_t gpa)
{
	u8 *code = at(vcpu, gpa);

	memset(code, 0x90, MACHINE_SLIDE);
	code[MACHINE_SLIDE] = 0xf4;
}

static void write_tables(struct vcpu *vcpu, enum machine_mode mode)
{
	u64 *gdt = at(vcpu, GDT), *pd = at(vcpu, PD);
	u32 *ivt = at(vcpu, IVT), *idt = at(vcpu, IDT);

	memset(idt, 0, 256 * 16);
	gdt[2] = mode == MODE_LONG ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull;
	gdt[3] = 0x00cf93000000ffffull;
	for (unsigned i = 0; i < 256; i++) {
		u32 *gate = idt + i * (mode == MODE_LONG ? 4 : 2);

		ivt[i] = MACHINE_HANDLER;
		gate[0] = 0x10u << 16 | MACHINE_HANDLER;
		gate[1] = 0x8e00;	/* an interrupt gate */
	}
	*(u64 *)at(vcpu, PML4) = PDPT | PTE_SET;
	*(u64 *)at(vcpu, PDPT) = PD | PTE_SET;
	for (u64 i = 0; i < 8; i++)
		pd[i] = i << 21 | PTE_SET | PTE_LARGE;
}

/* CS too is writable data, as after a reset and after every far jump in real mode. */
static void set_real_segments(struct vcpu *vcpu)
{
	const struct segment data = { .limit = 0xffff, .type = 3, .s = true, .present = true };

	for (int i = SEG_ES; i <= SEG_GS; i++)
		vcpu->ops->segment_set(vcpu, i, &data);
}

void machine_create(struct vcpu *vcpu)
{
	u8 *loop = at(vcpu, MACHINE_LOOP);

	write_slide(vcpu, MACHINE_CODE);
	write_slide(vcpu, MACHINE_HANDLER);
	loop[0] = 0xeb;
	loop[1] = 0xfe;
}

void machine_set(struct vcpu *vcpu, enum machine_mode mode, u64 rflags)
{
	const struct descriptor_table gdt = { GDT, 0xfff }, idt = { IDT, 0xfff }, ivt = { IVT, 0x3ff };
	const struct vcpu_ops *ops = vcpu->ops;

	vcpu_reset(vcpu, false);
	write_tables(vcpu, mode);
	memset(at(vcpu, STACK_LOW), 0, MACHINE_STACK - STACK_LOW);

	ops->table_set(vcpu, false, &gdt);
	ops->table_set(vcpu, true, mode == MODE_REAL ? &ivt : &idt);
	if (mode == MODE_LONG) {
		ops->control_set(vcpu, CTL_CR4, CR4_PAE);
		ops->control_set(vcpu, CTL_CR3, PML4);
		ops->control_set(vcpu, CTL_EFER, EFER_LME);
		ops->control_set(vcpu, CTL_CR0, CR0_PG | CR0_PE | CR0_ET);
	} else {
		ops->control_set(vcpu, CTL_CR0, CR0_ET | (mode == MODE_PROTECTED ? CR0_PE : 0));
	}
	if (mode == MODE_REAL)
		set_real_segments(vcpu);
	else
		load_flat_segments(vcpu, mode == MODE_LONG);
	for (enum vcpu_reg reg = REG_RAX; reg < REG_RIP; reg++)
		vcpu_reg_write(vcpu, reg, 0x0101010101010101ull * (reg + 1));
	vcpu_reg_write(vcpu, REG_RSP, MACHINE_STACK);
	vcpu_reg_write(vcpu, REG_RFLAGS, RFLAGS_FIXED | rflags);
	vcpu_reg_write(vcpu, REG_RIP, MACHINE_CODE);
}

void machine_set_shadow(struct vcpu *vcpu, enum machine_shadow shadow)
{
	static const u32 bits[] = {
		[SHADOW_STI] = INTERRUPTIBILITY_STI, [SHADOW_MOV_SS] = INTERRUPTIBILITY_MOV_SS,
	};

	if (vcpu->ops->name == vmx_ops.name)
		vmcs_write32(GUEST_INTERRUPTIBILITY, bits[shadow]);
	else
		to_svm(vcpu)->vmcb->control.int_state = shadow ? INT_SHADOW : 0;
}

void machine_set_halted(struct vcpu *vcpu __maybe_unused)
{
	vmcs_write32(GUEST_ACTIVITY, 1);
}

static u64 sum(const struct vcpu *vcpu)
{
	const u64 *words = at(vcpu, 0);
	u64 total = 0;

	for (u64 i = 0; i < MEMORY / 8; i++) {
		if (i * 8 >= STACK_LOW && i * 8 < MACHINE_STACK)
			continue;
		total = total * 31 + words[i];
	}
	return total;
}

void machine_save(struct vcpu *vcpu, struct machine_state *state)
{
	const struct vcpu_ops *ops = vcpu->ops;

	memset(state, 0, sizeof(*state));
	for (enum vcpu_reg reg = REG_RAX; reg < REG_COUNT; reg++)
		state->regs[reg] = vcpu_reg_read(vcpu, reg);
	for (enum vcpu_control control = CTL_CR0; control < CTL_XCR0; control++)
		state->controls[control] = ops->control_get(vcpu, control);
	for (enum vcpu_segment i = SEG_ES; i < SEG_COUNT; i++)
		ops->segment_get(vcpu, i, &state->segments[i]);
	ops->table_get(vcpu, false, &state->tables[0]);
	ops->table_get(vcpu, true, &state->tables[1]);
	state->shadow = vcpu->ops->name == vmx_ops.name ? vmcs_read32(GUEST_INTERRUPTIBILITY) :
			to_svm(vcpu)->vmcb->control.int_state;
	state->activity = vcpu->ops->name == vmx_ops.name ? vmcs_read32(GUEST_ACTIVITY) : 0;
	state->memory = sum(vcpu);
}

static bool same_segment(const struct segment *a, const struct segment *b)
{
	return a->base == b->base && a->limit == b->limit && a->selector == b->selector &&
	       a->type == b->type && a->dpl == b->dpl && a->s == b->s && a->present == b->present &&
	       a->avl == b->avl && a->l == b->l && a->db == b->db && a->g == b->g &&
	       a->unusable == b->unusable;
}

const char *machine_difference(const struct machine_state *a, const struct machine_state *b, bool delivered)
{
	static const char *const segment_names[SEG_COUNT] = {
		"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR",
	};
	static const char *const names[REG_COUNT] = {
		"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13",
		"R14", "R15", "RIP", "RFLAGS",
	};

	for (enum vcpu_reg reg = REG_RAX; reg < REG_COUNT; reg++) {
		if (delivered && (reg == REG_RSP || reg == REG_RIP || reg == REG_RFLAGS))
			continue;
		if (a->regs[reg] != b->regs[reg])
			return names[reg];
	}
	if (memcmp(a->controls, b->controls, sizeof(a->controls)))
		return "a control register";
	for (enum vcpu_segment i = SEG_ES; i < SEG_COUNT; i++) {
		if (!same_segment(&a->segments[i], &b->segments[i]))
			return segment_names[i];
	}
	if (memcmp(a->tables, b->tables, sizeof(a->tables)))
		return "a descriptor-table register";
	if (!delivered && (a->shadow != b->shadow || a->activity != b->activity))
		return "the interrupt shadow or activity";
	return a->memory != b->memory ? "memory" : NULL;
}
