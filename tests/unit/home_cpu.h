/* SPDX-License-Identifier: MIT */
/* The CPU on which a test runs and its vCPUs are at home, with a ring for what they record. */
#pragma once

#include <string.h>

#include "arch/cpu/percpu.h"
#include "core/observe/trace_record.h"

static struct percpu home;
static struct trace_record home_records[TRACE_RECORDS];

/* With an empty ring. */
static inline void home_reset(void)
{
	memset(&home, 0, sizeof(home));
	memset(home_records, 0, sizeof(home_records));
	home.self = &home;
	home.trace.records = home_records;
}
