package io.graft.ops;

import static io.graft.binding.Native.graft_fourier_backward;
import static io.graft.binding.Native.graft_fourier_forward;
import static io.graft.binding.Native.graft_fourier_merge;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** Products with a matrix that is given by a few entries of its spectrum, {@code D[n, k] = scale / (N·K) · Σ c[l] · cos(2π (u[l]·n/N + v[l]·k/K))} (FourierFT, arXiv 2405.03003), which is never made. */
public final class Fourier {
    private Fourier() {}

    /** y [T, N] = x [T, K] Dᵀ, or added to with accumulate; c [L], places [2, L] integers, u above v. */
    public static void forward(
            Context context, Tensor x, Tensor c, Tensor places, double scale, boolean accumulate, Tensor y) {
        synchronized (context) {
            Status.check(graft_fourier_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, c),
                    Tensor.pointer(context, places),
                    scale,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, y)));
        }
    }

    /** dx [T, inputs] is overwritten, or added to with accumulate; dc in f32 is added to. Each may be null, x where dc is. */
    public static void backward(
            Context context,
            Tensor dy,
            Tensor x,
            Tensor c,
            Tensor places,
            double scale,
            long inputs,
            boolean accumulate,
            Tensor dx,
            Tensor dc) {
        synchronized (context) {
            Status.check(graft_fourier_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, c),
                    Tensor.pointer(context, places),
                    scale,
                    inputs,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dc)));
        }
    }

    /** merged [N, K] = W + D; it may be the memory of W itself. */
    public static void merge(Context context, Weight w, Tensor c, Tensor places, double scale, Tensor merged) {
        synchronized (context) {
            Status.check(graft_fourier_merge(
                    context.pointer(),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, c),
                    Tensor.pointer(context, places),
                    scale,
                    Tensor.pointer(context, merged)));
        }
    }
}
