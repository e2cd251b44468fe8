/* SPDX-License-Identifier: MIT */
/* The frequency of the TSC, and what follows from it. */
#include "arch/time/clock.h"

#include "arch/apic/lapic_timer.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/fault/panic.h"
#include "arch/time/muldiv.h"
#include "arch/time/timesource.h"
#include "lib/errno.h"
#include "lib/log.h"

#define ASSUMED_HZ   5000000000ull	/* faster than any TSC, so that early waits are long enough */
#define WINDOW_HZ    100		/* the measurement takes 1/100 s */
#define SHORT_HZ     200		/* and 1/200 s, if clock_refine() goes on with it */
#define ESTIMATE_HZ  1000		/* the estimate takes 1/1000 s */
#define ESTIMATE_POLLS 5000u
#define SAMPLES	     8
/*
 * Bounds in polls, for nothing is known yet that counts time. A poll takes at least some 50 ns, on real hardware
 * mostly 1 us or more, and the slowest counter has a tick each 1 us: one that does not move in so many does not count.
 */
#define STILL_POLLS  10000u
#define MAX_POLLS    1000000u
#define MIN_HZ	     1000000ull		/* emulators count instructions: 10 MHz is possible */
#define MAX_HZ	     20000000000ull
#define ONE_PERCENT  100
#define PER_MILLE    1000
#define NS_PER_S     1000000000ull
#define REFINED_NS   50000000ull	/* the least time between the samples of clock_refine() */

extern u64 boot_tsc;	/* boot/entry.asm */

static u64 tsc_hz, estimated_hz;
/* What the rate was measured by, and where that began. NULL: the rate is known exactly, or not at all. */
static const struct timesource *measured_by;

u64 clock_tsc_hz(void)
{
	return tsc_hz;
}

u64 clock_tsc_at_boot(void)
{
	return boot_tsc;
}

u64 clock_us_since_boot(void)
{
	u64 hz = tsc_hz ? tsc_hz : estimated_hz;

	return hz ? mul_div(rdtsc() - boot_tsc, 1000000, hz) : 0;
}

u64 clock_ns_to_tsc(u64 ns)
{
	return mul_div(ns, tsc_hz, NS_PER_S);
}

u64 clock_tsc_to_ns(u64 ticks)
{
	return mul_div(ticks, NS_PER_S, tsc_hz);
}

u64 clock_deadline_us(u64 us)
{
	return rdtsc() + mul_div(us, tsc_hz ? tsc_hz : ASSUMED_HZ, 1000000);
}

bool clock_expired(u64 deadline)
{
	return rdtsc() >= deadline;
}

/* The three counters at one moment. */
struct sample {
	u64 tsc;
	u32 source;
	u32 lapic;
};

/*
 * Read the source between two readings of the TSC, and keep the attempt with the smallest gap: an SMI or
 * a busy outer hypervisor would otherwise distort the result.
 */
static struct sample take_sample(const struct timesource *source)
{
	struct sample best = { 0 };
	u64 best_gap = ~0ull;

	for (unsigned i = 0; i < SAMPLES; i++) {
		u64 before = rdtsc();
		u32 value = source->read(source);
		u64 gap = rdtsc() - before;

		if (gap >= best_gap)
			continue;
		best_gap = gap;
		best = (struct sample) { before + gap / 2, value, lapic_timer_count() };
	}
	return best;
}

static struct sample measured_from;

/* Half of the time in which the counter wraps around. */
static u64 longest_ns(const struct timesource *source)
{
	return mul_div(source->mask / 2, NS_PER_S, source->hz);
}

/* The 8254 wraps too soon. */
static bool can_refine(const struct timesource *source)
{
	return longest_ns(source) >= 2 * REFINED_NS;
}

static u32 ticks_between(const struct timesource *source, u32 from, u32 to)
{
	return (to - from) & source->mask;
}

/* Wait for the time of the measurement. False: the counter does not count. */
static bool wait_window(const struct timesource *source, u32 from)
{
	u32 window = (u32)(source->hz / (can_refine(source) ? SHORT_HZ : WINDOW_HZ)), last = from, still = 0;

	for (u32 polls = 0; polls < MAX_POLLS && still < STILL_POLLS; polls++) {
		u32 now = source->read(source);

		if (ticks_between(source, from, now) >= window)
			return true;
		still = now == last ? still + 1 : 0;
		last = now;
		cpu_relax();
	}
	return false;
}

/* Ticks of TSC and LAPIC timer per second, by one source. -EIO if that fails or is implausible. */
static int measure(const struct timesource *source, u64 *hz, u64 *lapic_hz)
{
	struct sample first, last;
	u32 ticks;

	lapic_timer_start_calibration();
	first = take_sample(source);
	if (!wait_window(source, first.source))
		return -EIO;
	last = take_sample(source);
	ticks = ticks_between(source, first.source, last.source);
	if (!ticks)
		return -EIO;
	*hz = mul_div(last.tsc - first.tsc, source->hz, ticks);
	*lapic_hz = mul_div(first.lapic - last.lapic, source->hz, ticks);
	measured_from = first;
	return *hz >= MIN_HZ && *hz <= MAX_HZ ? 0 : -EIO;
}

/* The first source that works; NULL if none does. */
static const char *measure_any(u64 *hz, u64 *lapic_hz)
{
	for (struct timesource *source = timesources; source->name; source++) {
		if (source->start(source))
			continue;
		if (measure(source, hz, lapic_hz) == 0) {
			measured_by = source;
			return source->name;
		}
		log_warn("clock: the %s does not count as it should", source->name);
	}
	return NULL;
}

static bool agree(u64 a, u64 b, u64 part)
{
	u64 difference = a > b ? a - b : b - a;

	return difference <= MIN(a, b) / part;
}

/*
 * The ratio of TSC and crystal is announced, but not the crystal's frequency: Skylake and others. There are few crystals,
 * and they differ by 4% and more: a measurement tells which one it is. 0: none of them.
 */
static u64 hz_by_crystal(struct cpuid_regs r, u64 measured)
{
	static const u64 crystals[] = { 19200000, 24000000, 25000000, 38400000 };

	for (unsigned i = 0; i < ARRAY_SIZE(crystals); i++) {
		u64 hz = mul_div(crystals[i], r.ebx, r.eax);

		if (agree(hz, measured, PER_MILLE))
			return hz;
	}
	return 0;
}

/*
 * Intel SDM, "Time Stamp Counter and Nominal Core Crystal Clock Information Leaf". Without the
 * crystal's frequency, leaf 16h has the base frequency in MHz, which is rounded: *exact is false.
 */
static u64 hz_by_cpuid(u64 measured, bool *exact)
{
	struct cpuid_regs r;
	u64 hz;

	if (cpuid(0).eax >= 0x15) {
		r = cpuid(0x15);
		*exact = true;
		hz = !r.eax || !r.ebx ? 0 : r.ecx ? mul_div(r.ecx, r.ebx, r.eax) : hz_by_crystal(r, measured);
		if (hz)
			return hz;
	}
	*exact = false;
	if (cpuid(0).eax < 0x16)
		return 0;
	return (cpuid(0x16).eax & 0xffff) * 1000000ull;
}

/* Ticks of the TSC per second by a short look at a source. 0: it does not count. */
static u64 look_at(struct timesource *source)
{
	u32 first, ticks = 0;
	u64 start, hz;

	if (source->start(source))
		return 0;
	start = rdtsc();
	first = source->read(source);
	for (u32 polls = 0; polls < ESTIMATE_POLLS && ticks < source->hz / ESTIMATE_HZ; polls++)
		ticks = ticks_between(source, first, source->read(source));
	if (ticks < source->hz / ESTIMATE_HZ)
		return 0;
	hz = mul_div(rdtsc() - start, source->hz, ticks);
	return hz >= MIN_HZ && hz <= MAX_HZ ? hz : 0;
}

void clock_estimate(void)
{
	u64 hz = look_at(&timesources[TIMESOURCE_8254]);
	bool exact;

	if (!hz)
		hz = hz_by_cpuid(0, &exact);
	estimated_hz = hz + hz / 64;
}

static void announce(const char *how)
{
	log_info("clock: TSC %llu.%03llu MHz (%s)%s", (ull)tsc_hz / 1000000,
		 (ull)tsc_hz / 1000 % 1000, how,
		 cpu_features.invariant_tsc ? "" : ", not announced as invariant");
}

static u32 tsc_read(const struct timesource *source)
{
	return (u32)rdtsc();
}

/* If no source works, trust CPUID, and measure the LAPIC's timer by the TSC. */
static u64 trust_cpuid(u64 announced)
{
	struct timesource tsc = { "CPUID", NULL, tsc_read, announced, 0xffffffff };
	u64 hz, lapic_hz = 0;

	if (!announced)
		stop("no clock works: neither CPUID, HPET, ACPI PM timer nor 8254");
	measure(&tsc, &hz, &lapic_hz);
	return lapic_hz;
}

/*
 * Trust CPUID only if a measurement confirms it: an emulator may report the frequency of the processor
 * that it emulates instead of the one at which it runs.
 */
void clock_init(void)
{
	u64 measured = 0, lapic_hz = 0, announced;
	const char *source = measure_any(&measured, &lapic_hz);
	bool exact = false;

	announced = hz_by_cpuid(measured, &exact);
	if (!source)
		lapic_hz = trust_cpuid(announced);
	else if (announced && !agree(measured, announced, ONE_PERCENT))
		log_warn("clock: CPUID says %llu MHz, the %s measures %llu MHz: taking the latter",
			 (ull)announced / 1000000, source, (ull)measured / 1000000);
	if (!source || (exact && announced && agree(measured, announced, ONE_PERCENT))) {
		tsc_hz = announced;
		measured_by = NULL;
		source = "CPUID";
	} else {
		tsc_hz = measured;
	}
	if (!lapic_hz && !cpu_features.tsc_deadline)
		stop("the local APIC's timer does not count");
	lapic_timer_set_hz(lapic_hz);
	announce(source);
}

/*
 * The counter is read to about 0.5 us. Over 5 ms that is 100 millionths, by which the guests' clocks would be wrong;
 * over the time that the start-up has taken since, it is much less.
 */
bool clock_refine(void)
{
	struct sample last;
	u64 hz, ns;
	u32 ticks;

	if (!measured_by || !can_refine(measured_by))
		return true;
	if (clock_tsc_to_ns(rdtsc() - measured_from.tsc) > longest_ns(measured_by))
		measured_from = take_sample(measured_by);
	if (clock_tsc_to_ns(rdtsc() - measured_from.tsc) < REFINED_NS)
		return false;
	last = take_sample(measured_by);
	ns = clock_tsc_to_ns(last.tsc - measured_from.tsc);
	ticks = ticks_between(measured_by, measured_from.source, last.source);
	hz = ticks ? mul_div(last.tsc - measured_from.tsc, measured_by->hz, ticks) : 0;
	if (!agree(hz, tsc_hz, PER_MILLE)) {
		log_warn("clock: measured again, the TSC has %llu MHz by the %s: the first measurement stays",
			 (ull)hz / 1000000, measured_by->name);
		measured_by = NULL;
		return true;
	}
	tsc_hz = hz;
	measured_by = NULL;
	log_info("clock: TSC %llu.%06llu MHz, measured over %llu ms", (ull)hz / 1000000, (ull)hz % 1000000, (ull)ns / 1000000);
	return true;
}
