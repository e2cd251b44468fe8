/* SPDX-License-Identifier: MIT */
/* The boot loader that guests see. A file of its own, as it changes with the version. */
#include "core/load/load.h"

#include "version.h"

const char load_boot_loader_name[] = "Lamina " LAMINA_VERSION;
