/* SPDX-License-Identifier: MIT */
/*
 * A guest hypervisor under SVM whose VMCB is anything, and changes at any time: it executes SVM's instructions, its guest
 * exits for any reason, events and INIT come in between. Whatever it does, what the processor enters with is allowed by
 * all rules of VMRUN, has Lamina's maps, tables, ASID and intercepts and no control that is not offered; an exit goes to
 * the level whose intercept says so, and of L1's page changes what #VMEXIT writes.
 */
/* link: core/nested.c svm/nested/instructions.c svm/nested/check.c svm/nested/entry.c svm/nested/exit.c */
/* link: svm/nested/events.c svm/nested/control.c svm/nested/maps.c svm/nested/vmcb12.c svm/rules/rules.c */
/* link: core/observe/entry_rule.c */
#include "tests/fuzz/fuzz.h"

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/speculation.h"
#include "core/emulate/emulate.h"
#include "core/emulate/gwalk.h"
#include "core/exit.h"
#include "core/irqchip.h"
#include "core/mem/guest_mem.h"
#include "core/startup.h"
#include "svm/nested/nested.h"

#define PAGES	      4
#define STEPS	      64
#define PHYSICAL_BITS 40
#define EFER_ALLOWED  (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME)
#define CR4_ALLOWED   0x3507ffull
#define NCR3	      0x123000ull
#define OWN_MISC1     (INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_SMI | INTERCEPT_INIT | INTERCEPT_IOIO | INTERCEPT_MSR)
#define OWN_MISC2     (INTERCEPT_VMRUN | INTERCEPT_VMMCALL | INTERCEPT_VMLOAD | INTERCEPT_VMSAVE | INTERCEPT_STGI | \
		       INTERCEPT_CLGI | INTERCEPT_SKINIT)

struct cpu_features cpu_features = { .linear_address_bits = 48 };
struct svm_features svm_features = { .asids = 8, .nrip_save = true, .flush_by_asid = true };

static u8 ram[PAGES * PAGE_SIZE], before[PAGES * PAGE_SIZE];
static struct vmcb vmcb01, vmcb02;
static u8 merged[PAGE_SIZE << MSRPM_ORDER], own_msrpm[PAGE_SIZE << MSRPM_ORDER];
static struct svm_vm maps = { .msrpm = own_msrpm };
static struct svm_nested nested;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;
static struct percpu cpu;
static struct vm vm;
static unsigned handled;		/* exits that Lamina has taken for L2 */
static int pending_vector;
static bool shut_down;
static unsigned page_reads;		/* of whole VMCBs */

/* --- the rest of Lamina --- */

struct percpu *this_cpu(void) { return &cpu; }
bool speculation_off(void) { return true; }
u8 cpuid_physical_bits(const struct vcpu *v) { return PHYSICAL_BITS; }
u64 control_efer_allowed(const struct vcpu *v) { return EFER_ALLOWED; }
u64 control_cr4_allowed(const struct vcpu *v) { return CR4_ALLOWED; }
bool vm_once(struct vm *v, enum once_kind kind, u64 index) { return false; }
const char *vm_name(const struct vm *v) { return "fuzz"; }
void exit_triple_fault(struct vcpu *v) { shut_down = true; }
void exit_invalid_opcode(struct vcpu *v) { handled++; }
void exit_cr_instruction(struct vcpu *v, const struct insn *insn) { handled++; }
void halt_for_good(struct vcpu *v) { }
bool event_wakes(struct vcpu *v) { return false; }
bool event_inject(struct vcpu *v) { return false; }
bool (*event_chooser(const struct vm *v))(struct vcpu *vcpu) { return event_inject; }
void event_raise(struct vcpu *v, u8 vector) { handled++; }
void event_raise_error(struct vcpu *v, u8 vector, u32 error_code) { handled++; }
void event_raise_debug(struct vcpu *v, u64 bits) { }
unsigned vcpu_cpl(struct vcpu *v) { return 0; }
bool vcpu_code_64(struct vcpu *v) { return true; }
u64 nsvm_next_rip(const struct vcpu *v)
{
	return container_of(v, const struct vcpu_svm, vcpu)->vmcb->control.next_rip;
}
enum insn_mode emulate_mode(struct vcpu *v) { return INSN_MODE_64; }
int emulate_peek(struct vcpu *v, struct insn *insn) { return -EFAULT; }
void emulate_advance(struct vcpu *v, unsigned length) { }
static int pending(void *vlapic) { return pending_vector; }
static int step_over_it(struct vcpu *v) { return 0; }

static void reg_fetch(struct vcpu *v, enum vcpu_reg reg)
{
	const struct vmcb_save *save = &svm.vmcb->save;

	vcpu->regs[reg] = reg == REG_RSP ? save->rsp : reg == REG_RIP ? save->rip : save->rflags;
	vcpu->regs_available |= BIT(reg);
}

int emulate_fetch(struct vcpu *v, struct insn *insn)
{
	*insn = (struct insn){ .length = 3, .address_size = 8, .opcode = 0x22, .map = INSN_MAP_0F };
	return 0;
}

/* lib/string.c's, which would replace the C library's other functions, too. */
bool str_copy(char *to, const char *from, size_t size)
{
	return (size_t)snprintf(to, size, "%s", from) < size;
}

static bool is_ram(gpa_t gpa, u64 size)
{
	return gpa < sizeof(ram) && size <= sizeof(ram) - gpa;
}

bool guest_is_ram(const struct vm *v, gpa_t gpa, u64 size) { return is_ram(gpa, size); }
void *guest_ptr(const struct vm *v, gpa_t gpa, u64 size) { return is_ram(gpa, size) ? ram + gpa : NULL; }

int guest_read(const struct vm *v, gpa_t gpa, void *to, u64 size)
{
	if (!is_ram(gpa, size))
		return -EFAULT;
	memcpy(to, ram + gpa, size);
	return 0;
}

int guest_read_large(const struct vm *v, gpa_t gpa, void *to, u64 size)
{
	page_reads += size == offsetof(struct vmcb_control, reserved_0e0);
	return guest_read(v, gpa, to, size);
}

/* --- the rest of svm/ --- */

u64 svm_control_get(struct vcpu *v, enum vcpu_control control)
{
	const struct vmcb_save *save = &svm.vmcb->save;

	return control == CTL_CR0 ? save->cr0 : control == CTL_CR4 ? save->cr4 : control == CTL_DR6 ? save->dr6 : save->efer;
}

void svm_control_set(struct vcpu *v, enum vcpu_control control, u64 value)
{
	if (control == CTL_CR2)
		svm.vmcb->save.cr2 = value;
	else if (control == CTL_DR6)
		svm.vmcb->save.dr6 = value;
}

void svm_set_paging_mode(struct vcpu_svm *s, u64 cr0, u64 cr4, u64 efer)
{
	s->vmcb->save.cr0 = cr0 & ~(CR0_CD | CR0_NW);
	s->vmcb->save.cr4 = cr4;
	s->vmcb->save.efer = efer | EFER_SVME;
}

void svm_set_control(struct vcpu_svm *s)
{
	struct vmcb_control *control = &s->vmcb->control;

	control->intercept_cr = INTERCEPT_CR_READ(8) | INTERCEPT_CR_WRITE(8);
	control->intercept_exceptions = SVM_EXCEPTIONS;
	control->intercept_misc1 = OWN_MISC1;
	control->intercept_misc2 = OWN_MISC2;
	control->asid = s->tlb_id.id;
	control->np_enable = 1;
	control->nested_cr3 = NCR3;
	control->int_control = V_INTR_MASKING;
}

int svm_msrpm_bit(u32 msr) { return msr < 8192 ? (int)msr * 2 : -1; }
int svm_msr_set(struct vcpu *v, u32 msr, u64 value) { return 0; }
void svm_choose_tlb_id(struct vcpu_svm *s, struct percpu *on) { s->vmcb->control.asid = s->tlb_id.id; }
void svm_pause_exits(struct vcpu *v, bool on) { }
void svm_end_step(struct vcpu *v) { abort(); }
void svm_dump(struct vcpu *v) { }
void svm_explain_failure(struct vcpu *v) { }
void svm_nmi_window(struct vcpu *v, bool on) { }
bool svm_interrupt_blocked(struct vcpu *v) { return !(svm.vmcb->save.rflags & RFLAGS_IF); }
bool svm_nmi_blocked(struct vcpu *v) { return svm.nmi_masked; }
void svm_handle_exit(struct vcpu *v) { handled++; }
void svm_inject(struct vcpu *v, const struct event *event) { }

void svm_interrupt_window(struct vcpu *v, bool on)
{
	struct vmcb_control *control = &svm.vmcb->control;

	control->int_control = on ? control->int_control | V_IRQ : control->int_control & ~V_IRQ;
	control->intercept_misc1 |= INTERCEPT_VINTR;
}

void nsvm_paging_enter(struct vcpu *v) { }
void nsvm_paging_flush(struct vcpu_svm *s) { }
void nsvm_forget_asid(struct vcpu_svm *s, u32 asid) { }
void nsvm_handle_npf(struct vcpu *v) { handled++; }
void nsvm_fault(struct vcpu *v) { abort(); }

int nsvm_gpa(struct vcpu *v, gpa_t l2, gva_t gva, u32 access, bool table, gpa_t *gpa)
{
	*gpa = l2;
	return 0;
}

void nsvm_look_at_init(struct vcpu *v) { nested.init_waits = false; }
void nsvm_set_gif(struct vcpu *v, bool gif) { nested.gif = gif; }

/* As svm/nested/state.c does it, without what this fuzzer does not look at. */
void nsvm_switch(struct vcpu *v, bool to_l2)
{
	fuzz_assert(vcpu->l2_runs != to_l2);
	svm.vmcb = to_l2 ? &vmcb02 : &vmcb01;
	vcpu->regs_available = vcpu->regs_dirty = 0;
	if (to_l2)
		nested_switch_to_l2(vcpu);
	else
		nested_switch_to_l1(vcpu);
}

/* --- what has to hold --- */

static void no_rule(void *context, const struct violation *violation)
{
	fprintf(stderr, "rule %s: %s\n", violation->name, violation->values);
}

static bool is_zero(const void *from, size_t size)
{
	for (const u8 *at = from; size--; at++)
		if (*at)
			return false;
	return true;
}

static bool is_canonical(u64 address)
{
	return (u64)((s64)(address << 16) >> 16) == address;
}

/* The VMCB that L2 is entered with. */
enum exit_fastpath svm_vcpu_run(struct vcpu *v, bool force_immediate_exit)
{
	const struct vmcb_control *control = &svm.vmcb->control, *l1 = &nested.vmcb12.control;
	const struct vmcb_save *save = &svm.vmcb->save;
	const struct svm_entry_state state = {
		.vmcb = svm.vmcb,
		/* The host's addresses are wider, and here also where the map is. */
		.processor = { .physical_bits = 52, .efer_valid = EFER_ALLOWED, .cr4_valid = CR4_ALLOWED,
			       .host_cr0 = CR0_PE | CR0_PG | CR0_WP },
	};

	fuzz_assert(svm.vmcb == &vmcb02);
	fuzz_assert(!svm_check_entry(&state, no_rule, NULL));
	fuzz_assert(control->asid == svm.tlb_id.id && control->np_enable == 1 && control->nested_cr3 == NCR3);
	fuzz_assert(!control->iopm_base && control->msrpm_base == virt_to_phys(nested.msrpm));
	fuzz_assert(!(control->int_control & ~(VIRTUAL_INTERRUPT | V_INTR_MASKING)) && (control->int_control & V_INTR_MASKING));
	fuzz_assert(!(control->int_state & ~INT_SHADOW));
	fuzz_assert(!control->avic_bar && !control->ghcb && !control->lbr_control && !control->reserved_0c4);
	fuzz_assert(is_zero(control->reserved_018, sizeof(control->reserved_018)));
	fuzz_assert(is_zero(control->reserved_05d, sizeof(control->reserved_05d)));
	fuzz_assert(is_zero(control->reserved_0e0, sizeof(control->reserved_0e0)));
	fuzz_assert(is_canonical(save->cs.base) && is_canonical(save->idtr.base) && save->gdtr.limit <= 0xffff);
	fuzz_assert(!save->debugctl && !save->s_cet && !save->spec_ctrl);
	/* What either level intercepts exits; MSRs and ports for Lamina, which looks into L1's maps. */
	fuzz_assert((control->intercept_misc1 & (OWN_MISC1 | l1->intercept_misc1)) == (OWN_MISC1 | l1->intercept_misc1));
	fuzz_assert((control->intercept_misc2 & (OWN_MISC2 | l1->intercept_misc2)) == (OWN_MISC2 | l1->intercept_misc2));
	fuzz_assert((control->intercept_cr & l1->intercept_cr) == l1->intercept_cr);
	fuzz_assert((control->intercept_dr & l1->intercept_dr) == l1->intercept_dr);
	fuzz_assert((control->intercept_exceptions & l1->intercept_exceptions) == l1->intercept_exceptions);
	fuzz_assert((control->intercept_exceptions & SVM_EXCEPTIONS) == SVM_EXCEPTIONS);
	fuzz_assert(!(control->intercept_misc3 & ~INTERCEPT_INVPCID));
	if (!(l1->int_control & V_INTR_MASKING))
		fuzz_assert(control->intercept_cr & INTERCEPT_CR_WRITE(8));
	return EXIT_FASTPATH_NONE;
}

/* Of the page only what #VMEXIT writes has changed: APM vol. 2, "#VMEXIT". */
static void check_page(gpa_t gpa)
{
	struct vmcb *was = (struct vmcb *)(before + gpa), *is = (struct vmcb *)(ram + gpa);
	struct vmcb_control *control = &was->control;

	control->int_control = (control->int_control & ~(V_TPR | V_IRQ)) | (is->control.int_control & (V_TPR | V_IRQ));
	control->int_state = is->control.int_state;
	control->exit_code = is->control.exit_code;
	control->exit_info1 = is->control.exit_info1;
	control->exit_info2 = is->control.exit_info2;
	control->exit_int_info = is->control.exit_int_info;
	control->event_injection = is->control.event_injection;
	control->next_rip = is->control.next_rip;
	/* V_TPR and V_IRQ are two bits of a word that is written as a whole, from the copy that was made at VMRUN. */
	control->int_control = is->control.int_control;
	fuzz_assert(!memcmp(&was->control, &is->control, sizeof(*control)));
	fuzz_assert(!memcmp(&was->save.fs, &is->save.fs, 2 * sizeof(was->save.fs)));
	fuzz_assert(!memcmp(&was->save.star, &is->save.star, offsetof(struct vmcb_save, cr2) - offsetof(struct vmcb_save, star)));
	fuzz_assert(!memcmp(was->save.reserved_2e8, is->save.reserved_2e8, sizeof(is->save.reserved_2e8)));
}

static void left(u64 code)
{
	const struct vmcb *page = (const struct vmcb *)(ram + nested.vmcb12_gpa);

	fuzz_assert(!vcpu->l2_runs && svm.vmcb == &vmcb01 && !nested.gif);
	fuzz_assert(page->control.exit_code == code);
	fuzz_assert(vcpu->events.reinject.type == EVENT_NONE && vcpu->events.exception.type == EVENT_NONE);
	check_page(nested.vmcb12_gpa);
}

/* Right after VMRUN: an MSR is left to L2 where both maps leave it. Of a map that is not all in RAM, none is. */
static void check_msrpm(void)
{
	const struct vmcb_control *l1 = &nested.vmcb12.control;
	const u64 *own = (const u64 *)own_msrpm, *both = (const u64 *)merged;
	bool there = is_ram(l1->msrpm_base & PAGE_MASK, PAGE_SIZE << MSRPM_ORDER);

	for (unsigned i = 0; i < MSRPM_WORDS; i++) {
		gpa_t at = (l1->msrpm_base & PAGE_MASK) + i * sizeof(u64);
		u64 word = ~0ull;

		if (there)
			memcpy(&word, ram + at, sizeof(word));
		fuzz_assert(both[i] == (own[i] | (l1->intercept_misc1 & INTERCEPT_MSR ? word : 0)));
	}
}

/* --- the steps --- */

static void vmrun(gpa_t gpa)
{
	vcpu->regs[REG_RAX] = gpa;
	page_reads = handled = 0;
	nsvm_handle_vmrun(vcpu);
	if (!is_ram(gpa, PAGE_SIZE) || gpa % PAGE_SIZE) {
		fuzz_assert(!vcpu->l2_runs && handled == 1 && !page_reads);
		return;
	}
	fuzz_assert(page_reads == 1);
	if (!vcpu->l2_runs) {
		fuzz_assert(((struct vmcb *)(ram + gpa))->control.exit_code == VMEXIT_INVALID && !nested.gif);
		fuzz_assert(nsvm_check(vcpu) == -EINVAL);
		return;
	}
	fuzz_assert(nested.gif);
	check_msrpm();
}

static void enter(void)
{
	if (vcpu->l2_runs)
		nsvm_vcpu_run(vcpu, false);
}

/* Codes whose bit alone decides. */
static bool is_plain(u64 code)
{
	return code < NSVM_INTERCEPT_BITS && code != VMEXIT_EXCEPTION + X86_MC && (code < VMEXIT_INTR || code > VMEXIT_VINTR) &&
	       code != VMEXIT_CR_WRITE && code != VMEXIT_CR0_SEL_WRITE && code != VMEXIT_IOIO && code != VMEXIT_MSR;
}

static void l2_exits(struct fuzz_input *input)
{
	struct vmcb_control *control = &svm.vmcb->control;
	u64 code = fuzz_take(input, 1);
	bool wants;

	if (!vcpu->l2_runs)
		return;
	code = code == 0xff ? VMEXIT_NPF : code;
	wants = code < NSVM_INTERCEPT_BITS && nsvm_intercepts(&nested, (unsigned)code);
	control->exit_code = vcpu->exit_reason = code;
	control->exit_info1 = fuzz_take(input, 4);
	control->exit_info2 = fuzz_take(input, 4);
	control->exit_int_info = fuzz_take(input, 4);
	handled = 0;
	nsvm_handle_exit(vcpu);
	if (shut_down)
		return;
	fuzz_assert(!vcpu->l2_runs || vcpu->l2_runs == (svm.vmcb == &vmcb02));
	if (!vcpu->l2_runs)
		left(code == VMEXIT_CR_WRITE || code == VMEXIT_CR0_SEL_WRITE
			     ? ((struct vmcb *)(ram + nested.vmcb12_gpa))->control.exit_code : code);
	if (is_plain(code))
		fuzz_assert(vcpu->l2_runs != wants);
	if (code >= VMEXIT_INTR && code <= VMEXIT_INIT)
		fuzz_assert(vcpu->l2_runs);
}

static void event_comes(struct fuzz_input *input)
{
	u8 what = (u8)fuzz_take(input, 1);

	pending_vector = what & 1 ? 0x40 : -1;
	vcpu->events.nmi_pending = what >> 1 & 1;
	if (what & 4)
		vcpu->events.exception = (struct event){ .type = EVENT_EXCEPTION, .vector = what >> 3 };
	if (vcpu->l2_runs)
		nsvm_events(vcpu);
	vcpu->events.exception.type = EVENT_NONE;
	if (what == 0xf8)
		nsvm_init(vcpu);
	fuzz_assert(vcpu->l2_runs == (svm.vmcb == &vmcb02));
}

/* A field of a VMCB, or any byte; one bit of it, or another value. */
static void write_page(struct fuzz_input *input)
{
	static const u16 fields[] = {
		0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x3c, 0x40, 0x48, 0x50, 0x58, 0x60, 0x68, 0x90, 0x98, 0xa8, 0xb0, 0xb8,
		0xc8, 0x400, 0x410, 0x418, 0x460, 0x480, 0x4c8, 0x4d0, 0x548, 0x550, 0x558, 0x560, 0x568, 0x570, 0x578, 0x5d8,
		0x5e0, 0x5f8, 0x640, 0x668, 0x670, 0x6e0,
	};
	u8 kind = (u8)fuzz_take(input, 1);
	u16 at = kind & 1 ? fields[fuzz_take(input, 1) % ARRAY_SIZE(fields)] : fuzz_take(input, 2) % (PAGE_SIZE - 7);
	gpa_t page = (kind >> 4) % PAGES * PAGE_SIZE;
	u64 value;

	memcpy(&value, ram + page + at, 8);
	value = kind & 2 ? fuzz_take(input, 8) : value ^ BIT_ULL(fuzz_take(input, 1) % 64);
	memcpy(ram + page + at, &value, 8);
}

static void run_step(struct fuzz_input *input)
{
	u8 step = (u8)fuzz_take(input, 1);

	memcpy(before, ram, sizeof(ram));
	switch (step % 8) {
	case 0:
	case 1:
		write_page(input);
		break;
	case 2:
		if (!vcpu->l2_runs)
			vmrun(step & 0x80 ? fuzz_take(input, 8) : step / 8 % PAGES * PAGE_SIZE);
		break;
	case 3:
		enter();
		break;
	case 4:
		l2_exits(input);
		break;
	case 5:
		event_comes(input);
		break;
	case 6:
		vcpu->regs[REG_RAX] = step & 0x80 ? fuzz_take(input, 8) : step / 8 % PAGES * PAGE_SIZE;
		if (step & 0x40)
			nsvm_handle_vmload(vcpu);
		else
			nsvm_handle_vmsave(vcpu);
		break;
	default:
		vcpu->regs[REG_RCX] = fuzz_take(input, 8);
		if (step & 0x80)
			nsvm_handle_invlpga(vcpu);
		else if (step & 0x40)
			nsvm_handle_stgi(vcpu);
		else
			nsvm_handle_clgi(vcpu);
	}
}

static void make_vmcb(struct vmcb *to)
{
	to->control.intercept_misc2 = INTERCEPT_VMRUN | INTERCEPT_VMMCALL;
	to->control.asid = 1;
	to->save.efer = EFER_SVME;
	to->save.cr0 = CR0_PE | CR0_ET;
	to->save.dr6 = 0xffff0ff0;
	to->save.dr7 = 0x400;
	to->save.rflags = RFLAGS_FIXED;
	to->save.pat = 0x0007040600070406;
}

void fuzz_one(const u8 *data, size_t size)
{
	static const struct irqchip_ops irqchip = { .pending = pending };
	static const struct vcpu_ops l2_ops = { .nested_events = nsvm_events, .skip_instruction = step_over_it,
						 .reg_fetch = reg_fetch },
				     ops = { .skip_instruction = step_over_it, .reg_fetch = reg_fetch };
	struct fuzz_input input = { data, data + size };

	memset(ram, 0, sizeof(ram));
	memset(&svm, 0, sizeof(svm));
	memset(&nested, 0, sizeof(nested));
	memset(&vmcb01, 0, sizeof(vmcb01));
	memset(&vmcb02, 0, sizeof(vmcb02));
	memset(own_msrpm, 0xff, sizeof(own_msrpm));
	memset(merged, 0xff, sizeof(merged));
	memset(own_msrpm + 0x800, 0, 64);
	maps.msrpm_open[0x800 / 512] = 0xff;
	for (unsigned i = 0; i < PAGES; i++)
		make_vmcb((struct vmcb *)(ram + i * PAGE_SIZE));
	make_vmcb(&vmcb01);
	vm = (struct vm){ .ops = &ops, .l2_ops = &l2_ops, .irqchip = &irqchip, .vendor = &maps };
	vcpu->vm = &vm;
	vcpu->ops = &ops;
	svm.vmcb = &vmcb01;
	svm.tlb_id.id = 5;
	svm.nested = &nested;
	nested.msrpm = merged;
	nested.svme = nested.gif = true;
	pending_vector = -1;
	shut_down = false;
	for (unsigned step = 0; step < STEPS && input.at < input.end && !shut_down; step++)
		run_step(&input);
}

/* Changes, VMRUN, an entry, an exit; and again. */
size_t fuzz_seed(u8 *data, size_t max, unsigned which)
{
	size_t n = 0;

	if (max < 512)
		return 0;
	for (unsigned i = 0; i < 16; i++) {
		const u8 round[] = {
			0, 3, (u8)(which + i), (u8)(which * 31), (u8)i, 0, 0, 0, 0, 0, 0, 0, 1, 1, (u8)(which * 7 + i), (u8)(which + i),
			2, 3, 5, (u8)(which * 5 + i), 3, 4, (u8)(which * 13 + i * 17), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		};

		memcpy(data + n, round, sizeof(round));
		n += i % 2 ? sizeof(round) : sizeof(round) - 12;
	}
	return n;
}

void fuzz_repair(u8 *data, size_t size)
{
}
