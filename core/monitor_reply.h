/* SPDX-License-Identifier: MIT */
/* A reply of the monitor is written by pieces; what does not fit marks it as cut. */
#pragma once

#include "core/monitor.h"

void reply_printf(struct monitor_reply *reply, const char *format, ...) __printf(2, 3);

/* As a JSON string, in quotes: RFC 8259, "Strings". */
void reply_string(struct monitor_reply *reply, const char *text);
