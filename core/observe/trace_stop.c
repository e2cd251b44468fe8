/* SPDX-License-Identifier: MIT */
/* The option trace.stop=: look at the records that each exit and its handler have written. */
#include "core/observe/trace_stop.h"

#include "arch/bootinfo/option.h"
#include "core/observe/trace.h"
#include "core/observe/trace_record.h"
#include "core/vm.h"
#include "lib/printf.h"

/* What to look for: an exit, or one kind of access, by its name; the number follows it. */
static const struct subject {
	const char *name;
	enum trace_access access;
} subjects[] = {
	{ "exit", TRACE_NO_ACCESS }, { "rip", TRACE_NO_ACCESS }, { "port", TRACE_PIO },
	{ "mmio", TRACE_MMIO }, { "msr", TRACE_MSR },
};
enum { SUBJECT_EXIT, SUBJECT_RIP };

static const struct subject *subject;	/* NULL: the option was not given */
static u64 number;
static char exit_name[TRACE_NAME_SIZE];	/* "": compare the exit's number */
static char words[80];			/* why the VM ended, for its last line */
/* By vcpu->l2_runs: the table that was given, and its copy; constant from the first VM on that needs it. */
static struct {
	const struct vcpu_ops *ops;
	struct vcpu_ops copy;
} watched[2];

static int set_trace_stop(struct str_view value)
{
	for (unsigned i = 0; i < ARRAY_SIZE(subjects); i++) {
		size_t length = strlen(subjects[i].name);
		struct str_view what = { value.ptr + length + 1, value.len - length - 1 };

		if (value.len < length + 2 || value.ptr[length] != ':' ||
		    memcmp(value.ptr, subjects[i].name, length))
			continue;
		if (!parse_u64_view(what, &number))
			exit_name[0] = '\0';
		else if (i == SUBJECT_EXIT && what.len < sizeof(exit_name))
			snprintf(exit_name, sizeof(exit_name), "%.*s", (int)what.len, what.ptr);
		else
			return -EINVAL;
		snprintf(words, sizeof(words), "stopped by the trace at %.*s", (int)value.len, value.ptr);
		subject = &subjects[i];
		return 0;
	}
	return -EINVAL;
}
DEFINE_OPTION(trace_stop, "trace.stop", "exit:NAME|exit:N|rip:N|port:N|mmio:N|msr:N",
	      "stop a VM at the first such exit (by its name in the trace, or its number), exit at this RIP, or access",
	      set_trace_stop);

static bool exit_matches(const struct trace_record *record)
{
	struct trace_name name;

	if (subject == &subjects[SUBJECT_RIP])
		return record->rip == number;
	if (!exit_name[0])
		return (record->reason & 0xffff) == number;
	name = trace_exit_name(watched[0].ops, record->exit_index);
	return !strcmp(name.text, exit_name);
}

static bool matches(const struct trace_record *record)
{
	enum trace_kind kind = trace_kind_of(record);

	if (subject->access == TRACE_NO_ACCESS)
		return kind == TRACE_EXIT && exit_matches(record);
	return (kind == TRACE_EXIT || kind == TRACE_ACCESS) &&
	       record->access.kind == subject->access && record->access.address == number;
}

static void stop(struct vcpu *vcpu)
{
	vm_info(vcpu->vm, "stop from the trace, whose last lines are:");
	trace_print(vcpu->vm, TRACE_ON_ERROR);
	vcpu->stop_reason = words;
	vcpu_request(vcpu, REQ_STOP);
}

/* The ring has room for all that an exit and its handler write, even for the longest batch of a string instruction. */
static void look(struct vcpu *vcpu, u64 *seen)
{
	const struct trace_ring *ring = &vcpu->cpu->trace;

	for (; *seen < ring->next; ++*seen) {
		if (matches(&ring->records[*seen % TRACE_RECORDS]) && !vcpu->stop_reason)
			stop(vcpu);
	}
}

static enum exit_fastpath watched_run(struct vcpu *vcpu, bool force_immediate_exit)
{
	u64 seen = vcpu->cpu->trace.next;
	enum exit_fastpath fastpath = watched[vcpu->l2_runs].ops->vcpu_run(vcpu, force_immediate_exit);

	look(vcpu, &seen);
	return fastpath;
}

static void watched_handle_exit(struct vcpu *vcpu)
{
	/* Look again at the exit's record, to which the handler adds its first access. */
	u64 seen = vcpu->cpu->trace.next - (vcpu->exit_record != NULL);

	watched[vcpu->l2_runs].ops->handle_exit(vcpu);
	look(vcpu, &seen);
}

const struct vcpu_ops *trace_stop_ops(const struct vcpu_ops *ops)
{
	/* Every VM has operations for L1 first. Where a copy has been made, other VMs may be running by it. */
	unsigned level = watched[0].ops && watched[0].ops != ops;

	if (!subject)
		return ops;
	if (watched[level].ops)
		return &watched[level].copy;
	if (trace_mode == TRACE_OFF) {
		log_warn("trace.stop= needs the trace: trace=off does not hold");
		trace_mode = TRACE_CRASH;
	}
	watched[level].ops = ops;
	watched[level].copy = *ops;
	watched[level].copy.vcpu_run = watched_run;
	watched[level].copy.handle_exit = watched_handle_exit;
	return &watched[level].copy;
}
