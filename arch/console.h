/* SPDX-License-Identifier: MIT */
/* Where the log goes: the serial port that console= names. */
#pragma once

/* Open the console, once; the log so far is replayed to it. panic() calls it as well. */
void console_init(void);
