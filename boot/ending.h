/* SPDX-License-Identifier: MIT */
/* How Lamina ends: the options onend= and onfail=. */
#pragma once

#include "lib/types.h"

/* All VMs ended well: "Lamina: all VMs ended, powering off" (or rebooting, halted), then do it. */
void finish(void) __noreturn;
