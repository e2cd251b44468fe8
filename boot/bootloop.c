/* SPDX-License-Identifier: MIT */
/* Counting boots across resets. */
#include "boot/bootloop.h"

#include "arch/acpi/power.h"
#include "arch/bootinfo/option.h"
#include "arch/console/console.h"
#include "arch/cpu/cpu.h"
#include "arch/fault/panic.h"
#include "arch/time/clock.h"
#include "arch/time/rtc.h"
#include "lib/errno.h"
#include "lib/keyval.h"
#include "lib/log.h"

#define MOST_BOOTS 999u
#define PAUSE_S	   3u

/*
 * The state of the loop, kept as a time of day: the boot's number and whether it completed, times
 * CHECKS, plus a checksum of both and N. Midnight is no valid state: it means that no loop is running.
 */
#define SECONDS_OF_DAY 86400u
#define CHECKS	       43u
_Static_assert((2 * MOST_BOOTS + 2) * CHECKS <= SECONDS_OF_DAY, "each state is a time of day");

static u32 boots;		/* N; 0: no loop */
static u32 boot;		/* the number of this boot, from 1 */
static bool interrupted;	/* the previous boot did not complete */

static int set_bootloop(struct str_view value)
{
	u64 number;

	if (parse_u64_view(value, &number) || !number || number > MOST_BOOTS)
		return -EINVAL;
	boots = (u32)number;
	return 0;
}
DEFINE_OPTION(bootloop, "bootloop", "N",
	      "boot, run the VMs and reset, 1 to 999 times; counts in the RTC's alarm time (default: no loop)",
	      set_bootloop);

static u32 check_of(u32 state)
{
	return (state * 7 + boots * 13 + 29) % CHECKS;
}

static void remember(u32 number, bool ended)
{
	u32 state = number * 2 + ended;

	rtc_alarm_write(state * CHECKS + check_of(state));
}

static void forget(void)
{
	rtc_alarm_write(0);
}

/* The previous boot's number, and whether it completed. False if no valid state is stored. */
static bool recall(u32 *number, bool *ended)
{
	u32 time, state;

	if (rtc_alarm_read(&time))
		return false;
	state = time / CHECKS;
	*number = state / 2;
	*ended = state % 2;
	return time % CHECKS == check_of(state) && *number >= 1 && *number <= boots;
}

void bootloop_begin(void)
{
	u32 before, again;
	bool ended;

	if (!boots)
		return;
	boot = 1;
	if (recall(&before, &ended)) {
		boot = before;
		if (!ended) {
			interrupted = true;
			forget();
			return;
		}
		boot = before < boots ? before + 1 : 1;
	}
	remember(boot, false);
	if (!recall(&again, &ended) || again != boot) {
		log_error("bootloop: the real-time clock does not keep its alarm time: no loop");
		boots = 0;
		return;
	}
	log_info("bootloop: boot %u of %u", boot, boots);
}

void bootloop_check(void)
{
	if (interrupted)
		stop("bootloop: boot %u of %u did not come to its end: it was reset or lost power", boot, boots);
}

static bool key_pressed(u64 us)
{
	u64 deadline = clock_deadline_us(us);

	while (uart_read_char(&console_uart) >= 0)
		;	/* discard what was typed for a VM */
	while (!clock_expired(deadline)) {
		uart_poll(&console_uart);
		if (uart_read_char(&console_uart) >= 0)
			return true;
		cpu_relax();
	}
	return false;
}

void bootloop_next(void)
{
	if (!boots)
		return;
	if (boot == boots) {
		forget();
		log_info("bootloop: all %u boots done", boots);
		return;
	}
	log_info("bootloop: boot %u of %u ended well, resetting in %u s; a key on the serial console ends the loop",
		 boot, boots, PAUSE_S);
	if (key_pressed(PAUSE_S * 1000000ull)) {
		forget();
		log_info("bootloop: ended by a key after boot %u of %u", boot, boots);
		return;
	}
	remember(boot, true);
	log_set_buffered(false);
	uart_flush(&console_uart);
	machine_reset();
	stop("the machine did not reset");
}

bool bootloop_failed(void)
{
	if (!boots)
		return false;
	if (!interrupted) {
		forget();
		log_error("bootloop: boot %u of %u failed: the loop ends, and the next boot is the first again",
			  boot, boots);
	}
	return true;
}
