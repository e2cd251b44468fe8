/* SPDX-License-Identifier: MIT */
/* The ChaCha20 block function. RFC 8439, "The ChaCha20 Block Function". */
#pragma once

#include "lib/types.h"

#define CHACHA20_KEY   8u	/* words */
#define CHACHA20_BLOCK 64u	/* bytes */

/* The block of this key and counter, with a nonce of zeros. */
void chacha20_block(const u32 key[CHACHA20_KEY], u32 counter, u8 block[CHACHA20_BLOCK]);
/* With a nonce of three words. */
void chacha20_block_nonce(const u32 key[CHACHA20_KEY], u32 counter, const u32 nonce[3], u8 block[CHACHA20_BLOCK]);
