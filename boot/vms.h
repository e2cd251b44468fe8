/* SPDX-License-Identifier: MIT */
/* The VMs of the boot menu entry: the service thread starts them, restarts them, and clears up after them. */
#pragma once

#include "lib/types.h"

struct config;
struct vcpu_ops;
struct vm;
struct vm_config;
struct vm_result;

/* In the service thread: run the VMs until all have ended, then do what onend= says. */
void vms_run(const struct config *config, const struct vcpu_ops *ops) __noreturn;

/* For the monitor, in the service thread; i is below vms_count(). */
u32 vms_count(void);
const struct vm_config *vms_config(u32 i);
struct vm *vms_get(u32 i);		/* NULL: it does not exist at present */
const char *vms_state(u32 i);		/* "waiting", "running", "paused", "ending", "ended", "failed" */
u64 vms_uptime_s(u32 i);
/* The last result that its guest has reported, also before it was started again. */
void vms_result(u32 i, struct vm_result *result);
/* 0, or -EINVAL: not possible in its state. A stop or a reset happens soon after. */
int vms_start(u32 i);
int vms_stop(u32 i);
int vms_reset(u32 i);
