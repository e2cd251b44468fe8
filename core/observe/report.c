/* SPDX-License-Identifier: MIT */
/* The reports about a running VM that can be requested at the console. */
#include "core/observe/report.h"

#include "core/observe/statistics.h"
#include "core/observe/trace.h"
#include "core/vcpu.h"

void vcpu_report(struct vcpu *vcpu, u32 requests)
{
	if (requests & REQ_STATISTICS)
		statistics_print(vcpu, true);
	if (requests & REQ_TRACE)
		trace_print(vcpu->vm, TRACE_ON_REQUEST);
}
