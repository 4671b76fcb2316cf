package io.graft.adapter;

import java.util.HashMap;
import java.util.Map;

/**
 * The permutations of {@code torch.randperm} on a CPU with a seeded generator: swaps of each element with a random one behind
 * it, by the Mersenne Twister (Matsumoto and Nishimura, ACM TOMACS 8(1), 1998).
 */
final class TorchPermutation {
    private static final int WORDS = 624;
    private static final int SHIFT = 397;
    /** From this size on torch permutes in another way. */
    private static final long LIMIT = 0xffffffffL / 20;

    private final int[] state = new int[WORDS];
    private int next = WORDS;

    private TorchPermutation(long seed) {
        state[0] = (int) seed;
        for (int i = 1; i < WORDS; i++) {
            state[i] = 1812433253 * (state[i - 1] ^ (state[i - 1] >>> 30)) + i;
        }
    }

    /** The first {@code count} of the numbers 0 to size - 1 in the permutation's order; count is at most size. */
    static long[] first(int count, long size, long seed) {
        if (size >= LIMIT) {
            throw new IllegalArgumentException(
                    "TorchPermutation: of " + size + " numbers, torch's order is known below " + LIMIT);
        }
        TorchPermutation random = new TorchPermutation(seed);
        long[] order = new long[count];
        Map<Long, Long> moved = new HashMap<>();
        for (long i = 0; i < count; i++) {
            // why: torch draws nothing for the last number.
            long from = i == size - 1 ? i : i + Integer.toUnsignedLong(random.word()) % (size - i);
            order[(int) i] = moved.getOrDefault(from, from);
            moved.put(from, moved.getOrDefault(i, i));
        }
        return order;
    }

    private int word() {
        if (next == WORDS) {
            turn();
        }
        int word = state[next++];
        word ^= word >>> 11;
        word ^= (word << 7) & 0x9d2c5680;
        word ^= (word << 15) & 0xefc60000;
        return word ^ (word >>> 18);
    }

    private void turn() {
        for (int i = 0; i < WORDS; i++) {
            int mixed = (state[i] & 0x80000000) | (state[(i + 1) % WORDS] & 0x7fffffff);
            state[i] = state[(i + SHIFT) % WORDS] ^ (mixed >>> 1) ^ ((mixed & 1) == 0 ? 0 : 0x9908b0df);
        }
        next = 0;
    }
}
