package io.graft.benchmarks.measure;

import io.graft.tensor.Device;
import io.graft.tensor.Tensor;

/**
 * A product of whole matrices by the library that others would call on a device, without Graft: oneDNN on the CPU, cuBLASLt on a
 * GPU.
 */
public final class PlainProduct {
    private PlainProduct() {}

    /** What the contender is called. */
    public static String library(Device device) {
        return device.isCpu() ? "onednn" : "cublaslt";
    }

    /** Why it is not there; null where it is. */
    static String absence(Device device) {
        return device.isCpu() ? null : PlainCublasLt.absence();
    }

    /** y [T, n] = x [T, k] wᵀ with w [n, k], all f32 or all bf16 tensors of these inputs. */
    public static Runnable forward(Inputs inputs, Tensor x, Tensor w, Tensor y) {
        if (inputs.context().device().isCpu()) {
            PlainGemm.threads(inputs.context().threads());
            return PlainGemm.forward(x, w, y)::run;
        }
        return PlainCublasLt.forward(inputs, x, w, y)::run;
    }

    /** dx [T, k] = dy [T, n] w with w [n, k]. */
    public static Runnable backward(Inputs inputs, Tensor dy, Tensor w, Tensor dx) {
        return inputs.context().device().isCpu()
                ? PlainGemm.backward(dy, w, dx)::run
                : PlainCublasLt.backward(inputs, dy, w, dx)::run;
    }
}
