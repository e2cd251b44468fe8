/* SPDX-License-Identifier: MIT */
/* Random numbers for guests. */
#include "core/random.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/entropy.h"
#include "lib/chacha20.h"
#include "lib/log.h"
#include "lib/spinlock.h"
#include "lib/string.h"

#define KEY_BYTES (CHACHA20_KEY * 4)
#define JITTER_SAMPLES	  1024	/* of the jitter, at the start */

_Static_assert(CHACHA20_BLOCK == 2 * KEY_BYTES, "a block is two keys");

static struct {
	struct spinlock lock;
	/* `lock`. */
	bool started;
	u32 key[CHACHA20_KEY];
} pool;

/* Mix words into the key, and replace it. `request`: where a request's key goes, or NULL. */
static void stir(const u64 words[4], u32 *request)
{
	u8 block[CHACHA20_BLOCK];

	for (unsigned i = 0; i < CHACHA20_KEY; i++)
		pool.key[i] ^= (u32)(words[i / 2] >> i % 2 * 32);
	chacha20_block(pool.key, 0, block);
	memcpy(pool.key, block, KEY_BYTES);
	if (request)
		memcpy(request, block + KEY_BYTES, KEY_BYTES);
}

/* What the processor has now, and in any case the time. */
static void collect(u64 words[4])
{
	for (unsigned i = 0; i < 4; i++)
		if (!entropy_word(&words[i]))
			words[i] = rdtsc() << 16 ^ entropy_jitter();
	words[3] ^= rdtsc();
}

/* True: the samples differ. */
static bool stir_jitter(void)
{
	u64 first = entropy_jitter();
	bool differ = false;

	for (unsigned i = 0; i < JITTER_SAMPLES / 4; i++) {
		u64 words[4];

		for (unsigned j = 0; j < 4; j++) {
			words[j] = entropy_jitter();
			/* The first ones are slow on any machine: the memory is not cached. */
			differ |= i > 0 && words[j] != first;
			first = words[j];
		}
		stir(words, NULL);
	}
	return differ;
}

static void start(void)
{
	enum entropy_source source = entropy_find();
	bool jitter = stir_jitter();
	u64 words[4];

	if (source == ENTROPY_JITTER && !jitter)
		log_warn("entropy: this machine's TSC has no jitter: the guests' random numbers can be predicted");
	for (unsigned i = 0; i < 4; i++) {
		collect(words);
		stir(words, NULL);
	}
}

void random_start(void)
{
	spin_lock(&pool.lock);
	if (!pool.started)
		start();
	pool.started = true;
	spin_unlock(&pool.lock);
}

void random_fill(void *to, u32 size)
{
	u8 block[CHACHA20_BLOCK];
	u32 key[CHACHA20_KEY];
	u64 words[4];

	collect(words);
	spin_lock(&pool.lock);
	stir(words, key);
	spin_unlock(&pool.lock);
	for (u32 done = 0, piece; done < size; done += piece) {
		piece = MIN(size - done, CHACHA20_BLOCK);
		chacha20_block(key, done / CHACHA20_BLOCK, block);
		memcpy((u8 *)to + done, block, piece);
	}
}
