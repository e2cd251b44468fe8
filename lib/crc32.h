/* SPDX-License-Identifier: MIT */
/* CRC-32 as Ethernet, gzip and bzImages have it: IEEE 802.3, "Frame Check Sequence (FCS) field". */
#pragma once

#include "lib/types.h"

/*
 * Go on with a CRC over `size` more bytes. It begins with all ones, and is not inverted at the end. Long data takes
 * about one instruction for each byte.
 */
u32 crc32_update(u32 crc, const void *data, u64 size);
