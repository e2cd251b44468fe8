/* SPDX-License-Identifier: MIT */
/*
 * String instructions, on memory and on ports. Intel SDM, "String Operations", "REP/REPE/REPZ/
 * REPNE/REPNZ—Repeat String Operation Prefix".
 */
#include "core/emulate/emulate.h"

#include "arch/cpu/x86.h"
#include "core/emulate/alu.h"
#include "core/emulate/gwalk.h"
#include "core/emulate/operand.h"
#include "core/emulate/watch.h"
#include "core/io.h"
#include "core/mem/guest_mem.h"
#include "core/observe/trace.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"
#include "lib/string.h"

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

static bool something_waits(const struct vcpu *vcpu)
{
	return vcpu_requested(vcpu) || vcpu->watch.hits || vcpu->vm->state != VM_RUNNING;
}

/* --- INS and OUTS with REP: what one translation is good for --- */

#define AT_ONCE 256	/* iterations at most */

/* Of a segment without a limit, which 64-bit code's are, all of a page is as good as its first byte. */
static bool has_no_limit(const struct string *s, enum vcpu_segment index)
{
	struct segment segment;

	if (vcpu_code_64(s->vcpu))
		return true;
	s->vcpu->ops->segment_get(s->vcpu, index, &segment);
	return segment.limit == ~0u && !segment.base && (!segment.s || (segment.type & 0xc) != 0x4 /* expand-down */);
}

/* How many iterations there are up to the end of the page, and of what `reg` can address. */
static unsigned up_to_page_end(const struct string *s, enum vcpu_reg reg, u64 count)
{
	u64 offset = address_reg_read(s->vcpu, s->insn, reg);
	u64 left = MIN(PAGE_SIZE - (offset & (PAGE_SIZE - 1)), (u64)AT_ONCE * s->size);

	return (unsigned)MIN(count, left / s->size);
}

/*
 * Several iterations in RAM: the memory is translated once, as by the first of them, after which no other can fault.
 * Returns how many; 0: it takes them one by one, perhaps because the first one faults.
 */
static unsigned ports_at_once(const struct string *s, bool in, u64 count, u64 end)
{
	struct vcpu *vcpu = s->vcpu;
	enum vcpu_segment segment = in ? SEG_ES : (enum vcpu_segment)s->insn->segment;
	unsigned n = up_to_page_end(s, in ? REG_RDI : REG_RSI, count), done = 0;
	u32 access = (in ? PF_WRITE : 0) | gwalk_privilege(vcpu);
	struct guest_fault fault;
	struct guest_span span;
	gva_t gva;
	u8 *at;

	if (n < 2 || vcpu->watch.dr7 || (vcpu_rflags(vcpu) & (RFLAGS_DF | RFLAGS_TF)) || !has_no_limit(s, segment) ||
	    gwalk_linear(vcpu, segment, address_reg_read(vcpu, s->insn, in ? REG_RDI : REG_RSI), s->size, access, &gva, &fault) ||
	    gwalk_span(vcpu, gva, n * s->size, access, &span, &fault) || span.size[1])
		return 0;
	at = guest_ptr(vcpu->vm, span.gpa[0], n * s->size);
	if (!at)
		return 0;
	do {
		u64 value = 0;

		if (in) {
			value = pio_read(vcpu, s->port, s->size);
			memcpy(at, &value, s->size);
		} else {
			memcpy(&value, at, s->size);
			pio_write(vcpu, s->port, s->size, value);
		}
		at += s->size;
	} while (++done < n && !something_waits(vcpu) && vtimer_now() < end);
	address_reg_write(vcpu, s->insn, in ? REG_RDI : REG_RSI,
			  address_reg_read(vcpu, s->insn, in ? REG_RDI : REG_RSI) + (u64)done * s->size);
	return done;
}

/* Before `end` (host TSC): one iteration, or several of INS and OUTS. 0: it has raised a fault. */
static unsigned iterate(const struct string *s, int (*once)(const struct string *s), u64 count, u64 end)
{
	unsigned done = once == ins || once == outs ? ports_at_once(s, once == ins, count, end) : 0;

	if (done)
		return done;
	return once(s) ? 0 : 1;
}

/* CMPS and SCAS repeat while (F3) or until (F2) the operands are equal. */
static bool comparison_ends(const struct string *s)
{
	bool equal = vcpu_rflags(s->vcpu) & RFLAGS_ZF;

	return s->insn->repne ? equal : !equal;
}

/* Single-stepping and breakpoints trap after each iteration. A fault keeps the effects of the iterations before it. */
static void repeat(const struct string *s, int (*once)(const struct string *s))
{
	unsigned left = vcpu_rflags(s->vcpu) & RFLAGS_TF ? 1 : BATCH;
	u64 count = address_reg_read(s->vcpu, s->insn, REG_RCX);
	u64 end = vtimer_now() + vtimer_from_ns(BATCH_NS);

	while (count) {
		unsigned done = iterate(s, once, MIN(count, left), end);

		if (!done)
			return;
		count -= done;
		left -= done;
		address_reg_write(s->vcpu, s->insn, REG_RCX, count);
		if ((once == cmps || once == scas) && comparison_ends(s))
			break;
		if (count && (!left || something_waits(s->vcpu) || vtimer_now() >= end)) {
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
