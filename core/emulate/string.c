/* SPDX-License-Identifier: MIT */
/*
 * String instructions, on memory and on ports. Intel SDM, "String Operations", "REP/REPE/REPZ/
 * REPNE/REPNZ—Repeat String Operation Prefix".
 */
#include "core/emulate/emulate.h"

#include "arch/cpu/x86.h"
#include "core/emulate/alu.h"
#include "core/emulate/operand.h"
#include "core/emulate/watch.h"
#include "core/io.h"
#include "core/observe/trace.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"

/*
 * Most iterations, and time, before the vCPU handles requests and timers again. A console port can take
 * milliseconds for a character.
 */
#define BATCH	 256
#define BATCH_NS 1000000
_Static_assert(2 * BATCH + 8 <= TRACE_RECORDS, "the trace holds what one exit writes: core/observe/trace_stop.c");

struct string {
	struct vcpu *vcpu;
	const struct insn *insn;
	unsigned size;
	u16 port;	/* INS and OUTS */
};

static int map_source(const struct string *s, struct guest_span *span)
{
	return operand_map(s->vcpu, (enum vcpu_segment)s->insn->segment,
			   address_reg_read(s->vcpu, s->insn, REG_RSI), s->size, 0, span);
}

static int map_destination(const struct string *s, u32 access, struct guest_span *span)
{
	return operand_map(s->vcpu, SEG_ES, address_reg_read(s->vcpu, s->insn, REG_RDI), s->size,
			   access, span);
}

static void step(const struct string *s, enum vcpu_reg reg)
{
	u64 value = address_reg_read(s->vcpu, s->insn, reg);
	bool down = vcpu_rflags(s->vcpu) & RFLAGS_DF;

	address_reg_write(s->vcpu, s->insn, reg, down ? value - s->size : value + s->size);
}

static void compare(const struct string *s, u64 a, u64 b)
{
	u64 rflags = vcpu_rflags(s->vcpu);

	alu_execute(ALU_CMP, s->size, a, b, &rflags);
	vcpu_reg_write(s->vcpu, REG_RFLAGS, rflags);
}

static int movs(const struct string *s)
{
	struct guest_span from, to;

	if (map_source(s, &from) || map_destination(s, PF_WRITE, &to))
		return -EFAULT;
	operand_write(s->vcpu, &to, operand_read(s->vcpu, &from));
	step(s, REG_RSI);
	step(s, REG_RDI);
	return 0;
}

static int cmps(const struct string *s)
{
	struct guest_span first, second;
	u64 value;

	if (map_source(s, &first) || map_destination(s, 0, &second))
		return -EFAULT;
	value = operand_read(s->vcpu, &first);
	compare(s, value, operand_read(s->vcpu, &second));
	step(s, REG_RSI);
	step(s, REG_RDI);
	return 0;
}

static int stos(const struct string *s)
{
	struct guest_span to;

	if (map_destination(s, PF_WRITE, &to))
		return -EFAULT;
	operand_write(s->vcpu, &to, operand_reg_read(s->vcpu, s->insn, REG_RAX, s->size));
	step(s, REG_RDI);
	return 0;
}

static int lods(const struct string *s)
{
	struct guest_span from;

	if (map_source(s, &from))
		return -EFAULT;
	operand_reg_write(s->vcpu, s->insn, REG_RAX, s->size, operand_read(s->vcpu, &from));
	step(s, REG_RSI);
	return 0;
}

static int scas(const struct string *s)
{
	u64 value = operand_reg_read(s->vcpu, s->insn, REG_RAX, s->size);
	struct guest_span at;

	if (map_destination(s, 0, &at))
		return -EFAULT;
	compare(s, value, operand_read(s->vcpu, &at));
	step(s, REG_RDI);
	return 0;
}

/* Translate the destination first: reading a port may change the device, and a fault must come before that. */
static int ins(const struct string *s)
{
	struct guest_span to;

	if (map_destination(s, PF_WRITE, &to))
		return -EFAULT;
	watch_port(s->vcpu, s->port, s->size);
	operand_write(s->vcpu, &to, pio_read(s->vcpu, s->port, s->size));
	step(s, REG_RDI);
	return 0;
}

static int outs(const struct string *s)
{
	struct guest_span from;

	if (map_source(s, &from))
		return -EFAULT;
	watch_port(s->vcpu, s->port, s->size);
	pio_write(s->vcpu, s->port, s->size, operand_read(s->vcpu, &from));
	step(s, REG_RSI);
	return 0;
}

/* CMPS and SCAS repeat while (F3) or until (F2) the operands are equal. */
static bool comparison_ends(const struct string *s)
{
	bool equal = vcpu_rflags(s->vcpu) & RFLAGS_ZF;

	return s->insn->repne ? equal : !equal;
}

static bool something_waits(const struct vcpu *vcpu)
{
	return vcpu_requested(vcpu) || vcpu->watch.hits || vcpu->vm->state != VM_RUNNING;
}

/* Single-stepping and breakpoints trap after each iteration. A fault keeps the effects of the iterations before it. */
static void repeat(const struct string *s, int (*once)(const struct string *s))
{
	unsigned left = vcpu_rflags(s->vcpu) & RFLAGS_TF ? 1 : BATCH;
	u64 count = address_reg_read(s->vcpu, s->insn, REG_RCX);
	u64 end = vtimer_now() + vtimer_from_ns(BATCH_NS);

	while (count) {
		if (once(s))
			return;
		address_reg_write(s->vcpu, s->insn, REG_RCX, --count);
		if ((once == cmps || once == scas) && comparison_ends(s))
			break;
		if (count && (!--left || something_waits(s->vcpu) || vtimer_now() >= end)) {
			s->vcpu->ops->instruction_done(s->vcpu);
			return;
		}
	}
	emulate_advance(s->vcpu, s->insn->length);
}

static void run(const struct string *s, int (*once)(const struct string *s))
{
	if (s->insn->rep || s->insn->repne)
		repeat(s, once);
	else if (!once(s))
		emulate_advance(s->vcpu, s->insn->length);
}

/* Indexed by the opcode without its width bit. */
static int (*const memory_operations[])(const struct string *s) = {
	[0xa4] = movs,
	[0xa6] = cmps,
	[0xaa] = stos,
	[0xac] = lods,
	[0xae] = scas,
};

bool emulate_is_string(const struct insn *insn)
{
	unsigned opcode = insn->opcode & ~1u;

	return !insn->vex && insn->map == INSN_MAP_ONE && opcode < ARRAY_SIZE(memory_operations) &&
	       memory_operations[opcode];
}

void emulate_string(struct vcpu *vcpu, const struct insn *insn)
{
	const struct string s = { .vcpu = vcpu, .insn = insn, .size = insn->operand_size };

	run(&s, memory_operations[insn->opcode & ~1u]);
}

void emulate_string_io(struct vcpu *vcpu, const struct io_exit *io)
{
	struct insn insn;
	const struct string s = { .vcpu = vcpu, .insn = &insn, .size = io->size, .port = io->port };

	if (emulate_fetch(vcpu, &insn))
		return;
	watch_begin(vcpu);
	if (insn.vex || insn.map != INSN_MAP_ONE || (insn.opcode & ~1u) != (io->in ? 0x6c : 0x6e))
		emulate_look_again(vcpu);
	else
		run(&s, io->in ? ins : outs);
	watch_end(vcpu);
}
