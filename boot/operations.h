/* SPDX-License-Identifier: MIT */
/* What the monitor can do. */
#pragma once

#include "core/monitor.h"

extern const struct monitor_ops operations;
