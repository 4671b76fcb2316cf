package io.graft.ops;

import static io.graft.binding.Native.graft_random_add_normal;
import static io.graft.binding.Native.graft_random_keep;
import static io.graft.binding.Native.graft_random_normal;
import static io.graft.binding.Native.graft_random_uniform;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** Counter-based random numbers, Philox4x32-10: element i depends on seed and offset + i only. */
public final class Random {
    private Random() {}

    /** y ~ U[low, high). */
    public static void uniform(Context context, long seed, long offset, double low, double high, Tensor y) {
        synchronized (context) {
            Status.check(graft_random_uniform(context.pointer(), seed, offset, low, high, Tensor.pointer(context, y)));
        }
    }

    /** y ~ N(mean, deviation²). */
    public static void normal(Context context, long seed, long offset, double mean, double deviation, Tensor y) {
        synchronized (context) {
            Status.check(
                    graft_random_normal(context.pointer(), seed, offset, mean, deviation, Tensor.pointer(context, y)));
        }
    }

    /** y += factor · z with z ~ N(0, 1), the numbers of {@link #normal}. */
    public static void addNormal(Context context, long seed, long offset, double factor, Tensor y) {
        synchronized (context) {
            Status.check(graft_random_add_normal(context.pointer(), seed, offset, factor, Tensor.pointer(context, y)));
        }
    }

    /** y = y / keep where the number of {@link #uniform} in [0, 1) is below keep, else 0. */
    public static void keep(Context context, long seed, long offset, double keep, Tensor y) {
        synchronized (context) {
            Status.check(graft_random_keep(context.pointer(), seed, offset, keep, Tensor.pointer(context, y)));
        }
    }
}
