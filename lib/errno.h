/* SPDX-License-Identifier: MIT */
/* Error numbers. Functions that can fail return 0 or one of these, negated. */
#pragma once

#ifdef LAMINA_HOST_TEST
#include <errno.h>
#else
enum {
	ENOENT = 2,	/* no such thing */
	EIO = 5,	/* hardware did not do what it was asked to */
	E2BIG = 7,	/* does not fit */
	EAGAIN = 11,	/* not now */
	ENOMEM = 12,
	EFAULT = 14,	/* address is not backed by memory */
	EBUSY = 16,
	EEXIST = 17,
	ENODEV = 19,
	EINVAL = 22,	/* malformed input */
	ENOSPC = 28,
	ERANGE = 34,	/* number outside of what is allowed */
	EOPNOTSUPP = 95,
	ETIMEDOUT = 110,
};
#endif
