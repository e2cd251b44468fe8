/* SPDX-License-Identifier: MIT */
/* NMIs: see the header. */
#include "arch/fault/nmi.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/fault/panic.h"
#include "lib/log.h"
#include "lib/printf.h"

/*
 * Intel I/O controller hubs, "NMI_SC - NMI Status and Control Register"; since the IBM PC/AT, "port B". Setting an
 * enable bit to 1 switches the source off and clears its status.
 */
#define PORT_NMI	  0x61
#define NMI_SERR_OFF	  BIT(2)
#define NMI_IOCHK_OFF	  BIT(3)
#define NMI_IOCHK	  BIT(6)
#define NMI_SERR	  BIT(7)
#define NMI_WRITABLE	  0x0f
#define NO_PORT		  0xff

#define MAX_LOOKS   4	/* a source that is asserted while another is cleared makes no second edge */
#define MAX_REPORTS 16	/* a source that never ends must not fill the log, nor take the time from the guests */

static enum nmi_action action = NMI_REPORT;
static u32 reports;	/* atomic */
static bool reporting;	/* atomic */

void nmi_set_action(enum nmi_action wanted)
{
	action = wanted;
}

void nmi_ask(struct percpu *cpu)
{
	__atomic_store_n(&cpu->nmi_rip, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&cpu->nmi_asked, true, __ATOMIC_RELEASE);
}

u64 nmi_answer(const struct percpu *cpu)
{
	return __atomic_load_n(&cpu->nmi_rip, __ATOMIC_ACQUIRE);
}

/* Clear what has raised it, and have it raise the next one. Returns the bits of port 61h that said so. */
static u8 take_sources(void)
{
	u8 all = 0;

	for (unsigned i = 0; i < MAX_LOOKS; i++) {
		u8 port = inb(PORT_NMI), now = port & (NMI_SERR | NMI_IOCHK), off = 0;

		if (!now || port == NO_PORT)
			break;
		all |= now;
		off |= now & NMI_SERR ? NMI_SERR_OFF : 0;
		off |= now & NMI_IOCHK ? NMI_IOCHK_OFF : 0;
		outb(PORT_NMI, (port & NMI_WRITABLE) | off);
		outb(PORT_NMI, port & NMI_WRITABLE & ~off);
	}
	return all;
}

static const char *words_for(u8 sources)
{
	static const char *const words[] = {
		"no source says so: a button, a BMC or a watchdog", "IOCHK: an error on an expansion bus",
		"SERR: a PCI system error", "SERR and IOCHK: errors on PCI and on an expansion bus",
	};

	return words[sources >> 6];
}

static void __noreturn panic_nmi(const struct trap_frame *frame, const char *words)
{
	char why[128];

	panic_hooks.report_places(frame->rip);	/* the others stop next */
	panic_begin();
	snprintf(why, sizeof(why), "an NMI came from outside (%s), and nmi=panic", words);
	log_error("panic: %s", why);
	trap_report(frame);
	panic_end(why);
}

/* The log may be what hangs: what is written here is sent before anything goes on. */
static void report(const struct trap_frame *frame, const char *words)
{
	u32 before = __atomic_fetch_add(&reports, 1, __ATOMIC_RELAXED);

	if (before >= MAX_REPORTS)
		return;
	log_warn("NMI %llu from outside: %s", (ull)this_cpu()->nmi_count, words);
	panic_hooks.report_places(frame->rip);
	trap_report(frame);
	if (before == MAX_REPORTS - 1)
		log_warn("NMIs from outside: more are only counted");
	log_flush();
}

void nmi_handler(const struct trap_frame *frame)
{
	struct percpu *cpu = this_cpu();
	const char *words;

	if (panic_elsewhere())
		cpu_stop();
	if (__atomic_exchange_n(&cpu->nmi_asked, false, __ATOMIC_ACQ_REL)) {
		panic_hooks.describe_guest(cpu->nmi_guest, sizeof(cpu->nmi_guest));
		__atomic_store_n(&cpu->nmi_rip, frame->rip, __ATOMIC_RELEASE);
		return;
	}
	cpu->nmi_count++;
	words = words_for(take_sources());
	if (action == NMI_IGNORE || __atomic_exchange_n(&reporting, true, __ATOMIC_ACQUIRE))
		return;
	if (action == NMI_PANIC)
		panic_nmi(frame, words);
	report(frame, words);
	__atomic_store_n(&reporting, false, __ATOMIC_RELEASE);
}

void nmi_log_count(void)
{
	for (u32 i = 0; i < percpu_count(); i++) {
		if (percpu_get(i)->nmi_count)
			log_warn("CPU %u: %llu NMIs from outside", i, (ull)percpu_get(i)->nmi_count);
	}
}
