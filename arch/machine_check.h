/* SPDX-License-Identifier: MIT */
/* Switching machine checks on; their handler is in arch/trap.h. */
#pragma once

/* Enable all error reporting banks of this CPU and clear what an earlier run left in them. */
void machine_check_init(void);
