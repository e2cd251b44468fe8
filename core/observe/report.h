/* SPDX-License-Identifier: MIT */
/* The reports about a running VM that can be requested at the console. */
#pragma once

#include "lib/types.h"

struct vcpu;

/* Print what is requested: REQ_STATISTICS, REQ_TRACE. The guest does not run meanwhile. */
void vcpu_report(struct vcpu *vcpu, u32 requests);
