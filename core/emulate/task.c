/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches. The steps and their faults are those of Intel SDM, "Task Switching": up to the commit point
 * nothing changes and faults are the old task's; from there on they are the new one's.
 */
#include "core/emulate/task.h"

#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/emulate/descriptor.h"
#include "core/emulate/gwalk.h"
#include "core/exit.h"
#include "core/vcpu.h"
#include "lib/string.h"

/* DR7.L0 to L3 and LE: SDM, "Debug Control Register (DR7)": cleared by each task switch. */
#define DR7_LOCAL      0x155ull
#define DR6_BT	       BIT_ULL(15)
/* Of an error code. */
#define ERROR_EXTERNAL BIT(0)

/*
 * Both kinds of TSS hold the same registers in the same order: from `first` on IP, flags, eight general registers, ES,
 * CS, SS, DS and, in the larger one, FS and GS, then LDTR.
 * SDM, "Task-State Segment (TSS)", "16-Bit Task-State Segment (TSS)".
 */
static const struct tss_format {
	u8 size, word, first, segments;
} format_32 = { 104, 4, 32, 6 }, format_16 = { 44, 2, 14, 4 };

enum { WORD_IP, WORD_FLAGS, WORD_REGISTERS, WORD_SEGMENTS = WORD_REGISTERS + 8 };
#define TSS_LINK 0
#define TSS_CR3	 28	/* in the larger one */
#define TSS_TRAP 100
#define TSS_SIZE 104

struct task {
	struct vcpu *vcpu;
	const struct task_switch *how;
	bool nests;			/* the old task stays busy, and the new one returns to it */
	u32 external;			/* ERROR_EXTERNAL, or 0 */
	struct segment old, new;	/* the two TSSs: what TR holds and will hold */
	u64 old_descriptor;		/* linear address of its byte with the busy bit; 0: the GDT has none */
	u64 new_descriptor;
	u8 image[TSS_SIZE];		/* of the new TSS */
};

static const struct tss_format *format_of(const struct segment *tss)
{
	return tss->type & DESCRIPTOR_32 ? &format_32 : &format_16;
}

static u32 get_word(const struct tss_format *format, const u8 *image, unsigned number)
{
	u32 value = 0;

	memcpy(&value, image + format->first + number * format->word, format->word);
	return value;
}

static void put_word(const struct tss_format *format, u8 *image, unsigned number, u32 value, unsigned size)
{
	memcpy(image + format->first + number * format->word, &value, MIN(size, (unsigned)format->word));
}

/* --- faults --- */

/* The selector's index and table are the error code. */
static bool refuse(const struct task *task, u8 vector, u16 selector)
{
	event_raise_error(task->vcpu, vector, (selector & ~3u) | task->external);
	return false;
}

static bool done(const struct task *task, int error, gva_t gva, const struct guest_fault *fault)
{
	if (error == -EIO)
		exit_unexpected(task->vcpu, "a task switch accesses linear 0x%llx, where there is no RAM",
				(unsigned long long)gva);
	else if (error && fault->vector == X86_PF)
		guest_fault_raise(task->vcpu, fault);
	else if (error)
		event_raise_error(task->vcpu, fault->vector, fault->error_code | task->external);
	return !error;
}

/* The processor's own accesses to TSSs and descriptor tables are a supervisor's. */
static bool read(const struct task *task, gva_t gva, void *to, unsigned size)
{
	struct guest_fault fault;

	return done(task, gwalk_read(task->vcpu, gva, to, size, 0, &fault), gva, &fault);
}

static bool write(const struct task *task, gva_t gva, const void *from, unsigned size)
{
	struct guest_fault fault;

	return done(task, gwalk_write(task->vcpu, gva, from, size, PF_WRITE, &fault), gva, &fault);
}

static bool writable(const struct task *task, gva_t gva, unsigned size)
{
	struct guest_span span;
	struct guest_fault fault;

	return done(task, gwalk_span(task->vcpu, gva, size, PF_WRITE, &span, &fault), gva, &fault);
}

/* --- the old task --- */

/* Its registers, as its TSS is to hold them: all between its first word and its LDTR. */
static void save_registers(const struct task *task, const struct tss_format *format, u8 *image)
{
	struct vcpu *vcpu = task->vcpu;
	u32 flags = (u32)vcpu_rflags(vcpu);

	if (task->how->length)
		flags &= ~(u32)RFLAGS_RF;	/* the instruction is over */
	if (task->how->source == TASK_IRET)
		flags &= ~(u32)RFLAGS_NT;
	put_word(format, image, WORD_IP, (u32)vcpu_reg_read(vcpu, REG_RIP) + task->how->length, 4);
	put_word(format, image, WORD_FLAGS, flags, 4);
	for (unsigned i = 0; i < 8; i++)
		put_word(format, image, WORD_REGISTERS + i, (u32)vcpu_reg_read(vcpu, (enum vcpu_reg)i), 4);
	for (unsigned i = 0; i < format->segments; i++) {
		struct segment segment;

		vcpu->ops->segment_get(vcpu, (enum vcpu_segment)i, &segment);
		put_word(format, image, WORD_SEGMENTS + i, segment.selector, 2);
	}
}

/* --- before the commit point --- */

static bool find_new_tss(struct task *task)
{
	u16 selector = task->how->selector;
	bool returns = task->how->source == TASK_IRET;
	u8 vector = returns ? X86_TS : X86_GP;
	struct descriptor descriptor;
	struct guest_fault fault;
	int error = descriptor_read(task->vcpu, selector, &descriptor, &fault);

	if (error == -EINVAL || (selector & SELECTOR_LOCAL))
		return refuse(task, vector, selector);
	if (error)
		return done(task, error, descriptor.gva, &fault);
	task->new = descriptor.segment;
	task->new_descriptor = descriptor.gva + DESCRIPTOR_TYPE_BYTE;
	/* Types 1 and 9, and 3 and 11 of a busy task. */
	if (task->new.s || (task->new.type & ~(DESCRIPTOR_32 | DESCRIPTOR_BUSY)) != 1 ||
	    !(task->new.type & DESCRIPTOR_BUSY) == returns)
		return refuse(task, vector, selector);
	if (!task->new.present)
		return refuse(task, X86_NP, selector);
	if (task->new.limit < format_of(&task->new)->size - 1u)
		return refuse(task, X86_TS, selector);
	return true;
}

static bool find_old_tss(struct task *task)
{
	struct vcpu *vcpu = task->vcpu;
	struct descriptor_table gdt;

	vcpu->ops->segment_get(vcpu, SEG_TR, &task->old);
	if (task->old.limit < format_of(&task->old)->size - 1u)
		return refuse(task, X86_TS, task->old.selector);
	vcpu->ops->table_get(vcpu, false, &gdt);
	if ((task->old.selector | 7u) <= gdt.limit)
		task->old_descriptor = (u32)(gdt.base + (task->old.selector & ~7u)) + DESCRIPTOR_TYPE_BYTE;
	return true;
}

/* Everything that will be written is looked for before anything is. */
static bool all_present(const struct task *task)
{
	return writable(task, (u32)task->old.base, format_of(&task->old)->size) &&
	       (!task->nests || writable(task, (u32)task->new.base + TSS_LINK, 2)) &&
	       (task->how->source == TASK_IRET || writable(task, task->new_descriptor, 1)) &&
	       (task->nests || !task->old_descriptor || writable(task, task->old_descriptor, 1));
}

/* --- the commit --- */

static bool set_busy(const struct task *task, gva_t gva, bool busy)
{
	u8 type;

	if (!gva)
		return true;
	if (!read(task, gva, &type, 1))
		return false;
	type = (u8)(busy ? type | DESCRIPTOR_BUSY : type & ~DESCRIPTOR_BUSY);
	return write(task, gva, &type, 1);
}

static bool save_old(struct task *task)
{
	const struct tss_format *format = format_of(&task->old);
	u8 image[TSS_SIZE];
	unsigned size = (WORD_SEGMENTS + format->segments) * format->word;

	if (!read(task, (u32)task->old.base, image, format->size))
		return false;
	save_registers(task, format, image);
	if (!write(task, (u32)task->old.base + format->first, image + format->first, size))
		return false;
	if (!task->nests && !set_busy(task, task->old_descriptor, false))
		return false;
	return !task->nests || write(task, (u32)task->new.base + TSS_LINK, &task->old.selector, 2);
}

/* --- the new task --- */

/* Selectors without descriptors. CS and the CPL stay as they are until the new CS has been found valid. */
static void load_selectors(const struct task *task, const struct tss_format *format)
{
	const struct vcpu_ops *ops = task->vcpu->ops;
	unsigned cpl = vcpu_cpl(task->vcpu);

	for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
		u16 selector = i < format->segments ? (u16)get_word(format, task->image, WORD_SEGMENTS + i) : 0;
		struct segment segment;

		ops->segment_get(task->vcpu, (enum vcpu_segment)i, &segment);
		if (i == SEG_CS && !(segment.type & DESCRIPTOR_CODE))	/* of virtual-8086 mode */
			segment.type = DESCRIPTOR_CODE | DESCRIPTOR_READABLE | DESCRIPTOR_ACCESSED;
		else if (i != SEG_CS)
			segment = (struct segment){ .unusable = true, .dpl = i == SEG_SS ? (u8)cpl : 0 };
		segment.selector = selector;
		ops->segment_set(task->vcpu, (enum vcpu_segment)i, &segment);
	}
}

static void load_registers(const struct task *task, const struct tss_format *format)
{
	struct vcpu *vcpu = task->vcpu;
	u64 flags = get_word(format, task->image, WORD_FLAGS) & RFLAGS_DEFINED;

	vcpu_reg_write(vcpu, REG_RIP, get_word(format, task->image, WORD_IP));
	vcpu_reg_write(vcpu, REG_RFLAGS, flags | RFLAGS_FIXED | (task->nests ? RFLAGS_NT : 0));
	for (unsigned i = 0; i < 8; i++)
		vcpu_reg_write(vcpu, (enum vcpu_reg)i, get_word(format, task->image, WORD_REGISTERS + i));
}

static void load_tr(const struct task *task)
{
	const struct vcpu_ops *ops = task->vcpu->ops;
	struct segment tr = task->new;

	tr.type |= DESCRIPTOR_BUSY;
	ops->segment_set(task->vcpu, SEG_TR, &tr);
	ops->control_set(task->vcpu, CTL_CR0, ops->control_get(task->vcpu, CTL_CR0) | CR0_TS);
	ops->control_set(task->vcpu, CTL_DR7, ops->control_get(task->vcpu, CTL_DR7) & ~DR7_LOCAL);
}

/* Without paging CR3 is not loaded. */
static bool load_cr3(const struct task *task, const struct tss_format *format)
{
	u32 cr3;

	if (format != &format_32 || !(task->vcpu->ops->control_get(task->vcpu, CTL_CR0) & CR0_PG))
		return true;
	memcpy(&cr3, task->image + TSS_CR3, 4);
	if (!control_write_cr3(task->vcpu, cr3))
		return true;
	event_raise_error(task->vcpu, X86_GP, task->external);
	return false;
}

static bool load_ldtr(const struct task *task, u16 selector)
{
	struct descriptor descriptor = { .segment = { .unusable = true, .selector = selector } };
	struct guest_fault fault;
	int error;

	task->vcpu->ops->segment_set(task->vcpu, SEG_LDTR, &descriptor.segment);
	if (!(selector & ~3u))
		return true;
	error = selector & SELECTOR_LOCAL ? -EINVAL : descriptor_read(task->vcpu, selector, &descriptor, &fault);
	if (error && error != -EINVAL)
		return done(task, error, descriptor.gva, &fault);
	if (error || descriptor.segment.s || descriptor.segment.type != DESCRIPTOR_LDT || !descriptor.segment.present)
		return refuse(task, X86_TS, selector);
	task->vcpu->ops->segment_set(task->vcpu, SEG_LDTR, &descriptor.segment);
	return true;
}

/* SDM, "Segment Registers in Virtual-8086 mode": the selectors alone say what the segments are. */
static void load_8086_segments(const struct task *task, const struct tss_format *format)
{
	for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
		u16 selector = i < format->segments ? (u16)get_word(format, task->image, WORD_SEGMENTS + i) : 0;
		const struct segment segment = {
			.base = (u64)selector << 4, .limit = 0xffff, .selector = selector,
			.type = 3, .dpl = 3, .s = true, .present = true,
		};

		task->vcpu->ops->segment_set(task->vcpu, (enum vcpu_segment)i, &segment);
	}
}

/* SDM, "Exception Conditions Checked During a Task Switch": 0, or the exception. */
static u8 judge(enum vcpu_segment index, const struct segment *segment, unsigned cpl)
{
	unsigned rpl = segment->selector & 3;
	bool code = segment->type & DESCRIPTOR_CODE, conforming = code && (segment->type & DESCRIPTOR_CONFORMING);
	bool right;

	if (!segment->s)
		return X86_TS;
	if (index == SEG_CS)
		right = code && (conforming ? segment->dpl <= rpl : segment->dpl == rpl);
	else if (index == SEG_SS)
		right = !code && (segment->type & DESCRIPTOR_WRITABLE) && segment->dpl == cpl && rpl == cpl;
	else
		right = (!code || (segment->type & DESCRIPTOR_READABLE)) &&
			(conforming || segment->dpl >= MAX(cpl, rpl));
	if (!right)
		return X86_TS;
	if (!segment->present)
		return index == SEG_SS ? X86_SS : X86_NP;
	return 0;
}

/* `cpl`: that of the new task; for CS itself of no meaning. */
static bool load_segment(const struct task *task, enum vcpu_segment index, u16 selector, unsigned cpl)
{
	struct descriptor descriptor;
	struct guest_fault fault;
	u8 vector;
	int error;

	if (!(selector & ~3u))
		return index == SEG_CS || index == SEG_SS ? refuse(task, X86_TS, selector) : true;
	error = descriptor_read(task->vcpu, selector, &descriptor, &fault);
	if (!error) {
		vector = judge(index, &descriptor.segment, cpl);
		if (vector)
			return refuse(task, vector, selector);
		error = descriptor_set_accessed(task->vcpu, &descriptor, &fault);
	}
	if (error == -EINVAL)
		return refuse(task, X86_TS, selector);
	if (error)
		return done(task, error, descriptor.gva, &fault);
	task->vcpu->ops->segment_set(task->vcpu, index, &descriptor.segment);
	return true;
}

static bool load_segments(const struct task *task, const struct tss_format *format)
{
	static const u8 order[] = { SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS };
	u16 cs = (u16)get_word(format, task->image, WORD_SEGMENTS + SEG_CS);
	unsigned cpl = cs & 3;
	struct segment ss;

	if (!load_segment(task, SEG_CS, cs, cpl))
		return false;
	/* SS holds the CPL, also while it is unusable. */
	task->vcpu->ops->segment_get(task->vcpu, SEG_SS, &ss);
	ss.dpl = (u8)cpl;
	task->vcpu->ops->segment_set(task->vcpu, SEG_SS, &ss);
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		u16 selector = order[i] < format->segments ? (u16)get_word(format, task->image, WORD_SEGMENTS + order[i]) : 0;

		if (!load_segment(task, (enum vcpu_segment)order[i], selector, cpl))
			return false;
	}
	return true;
}

/* Of the event, in the width of the TSS. */
static bool push_error_code(const struct task *task, const struct tss_format *format)
{
	struct vcpu *vcpu = task->vcpu;
	u64 rsp = vcpu_reg_read(vcpu, REG_RSP), offset;
	u32 access = PF_WRITE | gwalk_privilege(vcpu);
	struct guest_fault fault;
	struct segment ss;
	gva_t gva = 0;
	int error;

	if (!task->how->has_error_code)
		return true;
	vcpu->ops->segment_get(vcpu, SEG_SS, &ss);
	offset = (rsp - format->word) & (ss.db ? 0xffffffffull : 0xffffull);
	error = gwalk_linear(vcpu, SEG_SS, offset, format->word, access, &gva, &fault);
	if (!error)
		error = gwalk_write(vcpu, gva, &task->how->error_code, format->word, access, &fault);
	if (!done(task, error, gva, &fault))
		return false;
	vcpu_reg_write(vcpu, REG_RSP, ss.db ? offset : (rsp & ~0xffffull) | offset);
	return true;
}

static bool within_code(const struct task *task)
{
	struct segment cs;

	task->vcpu->ops->segment_get(task->vcpu, SEG_CS, &cs);
	if (vcpu_reg_read(task->vcpu, REG_RIP) <= cs.limit)
		return true;
	event_raise_error(task->vcpu, X86_GP, task->external);
	return false;
}

static void load_new(struct task *task)
{
	const struct tss_format *format = format_of(&task->new);
	u16 ldt = (u16)get_word(format, task->image, WORD_SEGMENTS + format->segments);
	bool virtual_8086 = get_word(format, task->image, WORD_FLAGS) & RFLAGS_VM;
	bool loaded;

	load_tr(task);
	loaded = load_cr3(task, format);
	load_selectors(task, format);
	load_registers(task, format);
	if (virtual_8086)
		load_8086_segments(task, format);
	loaded = loaded && load_ldtr(task, ldt) && (virtual_8086 || load_segments(task, format)) &&
		 push_error_code(task, format) && within_code(task);
	/* The event has been delivered. An exception of the load has replaced it already. */
	task->vcpu->events.reinject.type = EVENT_NONE;
	if (loaded && format == &format_32 && (task->image[TSS_TRAP] & 1))
		event_raise_debug(task->vcpu, DR6_BT);
}

bool emulate_task_switch(struct vcpu *vcpu, const struct task_switch *how)
{
	struct task task = {
		.vcpu = vcpu,
		.how = how,
		.nests = how->source == TASK_CALL || how->source == TASK_GATE,
		.external = how->source == TASK_GATE && how->external ? ERROR_EXTERNAL : 0,
	};

	if (!find_new_tss(&task) || !find_old_tss(&task) || !all_present(&task) ||
	    !read(&task, (u32)task.new.base, task.image, format_of(&task.new)->size))
		return false;
	if (!save_old(&task) || (how->source != TASK_IRET && !set_busy(&task, task.new_descriptor, true)))
		return false;
	load_new(&task);
	return true;
}
