/* SPDX-License-Identifier: MIT */
/* The boot loader name for guests. Only this file is compiled again when the version changes. */
#include "core/load/load.h"

#include "version.h"

const char load_boot_loader_name[] = "Lamina " LAMINA_VERSION;
