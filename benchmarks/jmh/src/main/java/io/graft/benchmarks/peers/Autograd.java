package io.graft.benchmarks.peers;

import io.graft.benchmarks.measure.Address;
import io.graft.benchmarks.measure.Work;
import io.graft.tensor.DType;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.DeviceOptional;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorArrayRefOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;

/**
 * What a user of LibTorch does: operations are composed, autograd differentiates. Its tensors lie over the memory of
 * Graft's tensors, so that both see the same inputs.
 */
final class Autograd {
    private final Map<String, Tensor> leaves = new LinkedHashMap<>();

    /** A tensor of LibTorch over the memory of one of Graft's on the same device, which must stay open. */
    static Tensor over(io.graft.tensor.Tensor tensor) {
        return torch.from_blob(
                Address.of(tensor),
                tensor.shape(),
                tensor.strides(),
                new TensorOptions(type(tensor.dtype())).device(new DeviceOptional(device(tensor))));
    }

    private static Device device(io.graft.tensor.Tensor tensor) {
        io.graft.tensor.Device device = tensor.scope().context().device();
        return device.isCpu()
                ? new Device(torch.DeviceType.CPU)
                : new Device(torch.DeviceType.CUDA, (byte) device.ordinal());
    }

    /** The type of LibTorch that is stored alike. */
    static torch.ScalarType type(DType dtype) {
        return switch (dtype) {
            case F32 -> torch.ScalarType.Float;
            case BF16 -> torch.ScalarType.BFloat16;
            case I32 -> torch.ScalarType.Int;
            case I64 -> torch.ScalarType.Long;
            case U8 -> torch.ScalarType.Byte;
            default -> throw new IllegalArgumentException("no peer computes in " + dtype);
        };
    }

    /** Like {@link #over}, with a gradient that is a result of this name. */
    Tensor leaf(String gradient, io.graft.tensor.Tensor tensor) {
        Tensor leaf = over(tensor).set_requires_grad(true);
        leaves.put(gradient, leaf);
        return leaf;
    }

    /** Forward alone, without a tape. */
    static Work inference(String name, Supplier<Tensor> forward) {
        return new Work(() -> {
                    try (PointerScope scope = new PointerScope();
                            NoGradGuard guard = new NoGradGuard()) {
                        forward.get();
                    }
                })
                .gives(name, values(forward));
    }

    /** Forward and backward from dy, or from a loss where dy is null; gradients are set to none before, as by zero_grad. */
    Work training(String name, Supplier<Tensor> forward, Tensor dy) {
        Work work = new Work(() -> {
                    leaves.values().forEach(leaf -> leaf.mutable_grad().reset());
                    try (PointerScope scope = new PointerScope()) {
                        Tensor y = forward.get();
                        if (dy == null) {
                            y.backward();
                        } else {
                            y.backward(dy, new BoolOptional(), false, new TensorArrayRefOptional());
                        }
                    }
                })
                .gives(name, values(forward));
        leaves.forEach((gradient, leaf) -> work.gives(gradient, values(leaf::grad)));
        return work;
    }

    /** A call that neither has a tape nor needs one; what it gives has to be named. */
    static Work manual(Runnable call) {
        return new Work(() -> {
            try (PointerScope scope = new PointerScope();
                    NoGradGuard guard = new NoGradGuard()) {
                call.run();
            }
        });
    }

    /** The leading rows of what {@code tensor} gives, as floats. */
    static Supplier<float[]> values(Supplier<Tensor> tensor) {
        return () -> {
            try (PointerScope scope = new PointerScope();
                    NoGradGuard guard = new NoGradGuard()) {
                Tensor all = tensor.get();
                long rows = all.dim() == 0 ? 1 : all.size(0);
                long kept = Work.leading(rows, all.numel() / Math.max(1, rows));
                Tensor part = (all.dim() == 0 ? all : all.narrow(0, 0, kept))
                        .to(torch.ScalarType.Float)
                        .cpu()
                        .contiguous();
                float[] values = new float[Math.toIntExact(part.numel())];
                new FloatPointer(part.data_ptr()).get(values);
                return values;
            }
        };
    }
}
