/* SPDX-License-Identifier: MIT */
/* The steps of the code that is tested, between which other CPUs act. Before anything else of the project. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Called before each atomic access of the code that is tested. */
static void between_steps(void);
#define __atomic_fetch_and(...)	    ({ between_steps(); __atomic_fetch_and(__VA_ARGS__); })
#define __atomic_fetch_or(...)	    ({ between_steps(); __atomic_fetch_or(__VA_ARGS__); })
#define __atomic_load_n(...)	    ({ between_steps(); __atomic_load_n(__VA_ARGS__); })
#define __atomic_store_n(...)	    ({ between_steps(); __atomic_store_n(__VA_ARGS__); })
#define __atomic_exchange_n(...)    ({ between_steps(); __atomic_exchange_n(__VA_ARGS__); })
#define __atomic_sub_fetch(...)	    ({ between_steps(); __atomic_sub_fetch(__VA_ARGS__); })
