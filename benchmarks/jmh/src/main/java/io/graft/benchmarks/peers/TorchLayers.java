package io.graft.benchmarks.peers;

import io.graft.benchmarks.LayerBenchmark;
import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Work;
import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * A linear layer and its methods as they are composed of LibTorch's operations: those of Hugging Face PEFT with adapters
 * in f32, its default, and PaCA as its authors run it.
 */
public final class TorchLayers {
    private static final long ROWS = 1;

    private TorchLayers() {}

    private static Tensor w(Inputs inputs, LayerBenchmark layer) {
        return Autograd.over(inputs.frozen(layer.n(), layer.k(), 0).matrix());
    }

    private static Tensor dy(Inputs inputs, LayerBenchmark layer) {
        return Autograd.over(layer.plainDy(inputs));
    }

    /** y = layer(x), with dx and the gradients of what the tape has besides. */
    private static Work work(Inputs inputs, LayerBenchmark layer, Autograd tape, UnaryOperator<Tensor> forward) {
        if (!layer.trains()) {
            Tensor x = Autograd.over(layer.plainX(inputs));
            return Autograd.inference("y", () -> forward.apply(x));
        }
        Tensor x = tape.leaf("dx", layer.plainX(inputs));
        return tape.training("y", () -> forward.apply(x), dy(inputs, layer));
    }

    public static Work frozen(Inputs inputs, LayerBenchmark layer) {
        Tensor w = w(inputs, layer);
        return work(inputs, layer, new Autograd(), x -> torch.linear(x, w));
    }

    /** The whole weight trained. LibTorch keeps its gradient in the compute type, Graft in f32. */
    public static Work full(Inputs inputs, LayerBenchmark layer) {
        Autograd tape = new Autograd();
        Tensor w = tape.leaf("dw", inputs.frozen(layer.n(), layer.k(), 0).matrix());
        return work(inputs, layer, tape, x -> torch.linear(x, w));
    }

    /** PEFT's LoRA: x goes to f32 for A and B, the sum comes back to the compute type. */
    public static Work lora(Inputs inputs, LayerBenchmark layer) {
        Autograd tape = new Autograd();
        Tensor w = w(inputs, layer);
        Tensor a = tape.leaf("da", layer.a(inputs));
        Tensor b = tape.leaf("db", layer.b(inputs));
        Scalar scale = new Scalar(layer.scale());
        torch.ScalarType type = Autograd.type(inputs.dtype());
        return work(inputs, layer, tape, x -> {
            Tensor low = torch.linear(torch.linear(x.to(torch.ScalarType.Float), a), b);
            return torch.linear(x, w).add(low.mul(scale)).to(type);
        });
    }

    /** PEFT's DoRA: the norm of the merged matrix in each forward, a constant for backward. */
    public static Work dora(Inputs inputs, LayerBenchmark layer) {
        Autograd tape = new Autograd();
        Tensor w = w(inputs, layer);
        Tensor a = tape.leaf("da", layer.a(inputs));
        Tensor b = tape.leaf("db", layer.b(inputs));
        Tensor m = tape.leaf("dm", layer.magnitude(inputs));
        Scalar scale = new Scalar(layer.scale());
        Scalar two = new Scalar(2.0);
        Scalar one = new Scalar(1.0);
        torch.ScalarType type = Autograd.type(inputs.dtype());
        return work(inputs, layer, tape, x -> {
            Tensor base = torch.linear(x, w);
            Tensor low = torch.linear(torch.linear(x.to(torch.ScalarType.Float), a), b);
            Tensor merged = w.add(torch.matmul(b.detach(), a.detach()).mul(scale));
            Tensor norm = torch.linalg_vector_norm(merged, two, new long[] {ROWS}, false, noType());
            Tensor share = m.div(norm);
            return base.add(share.sub(one).mul(base).add(share.mul(low).mul(scale)))
                    .to(type);
        });
    }

    private static org.bytedeco.pytorch.ScalarTypeOptional noType() {
        return new org.bytedeco.pytorch.ScalarTypeOptional();
    }

    /** PaCA's own form: the trained columns are written into W, one product, and the inputs at the columns are kept. */
    public static Work paca(Inputs inputs, LayerBenchmark layer) {
        Tensor w = w(inputs, layer);
        Tensor x = Autograd.over(layer.plainX(inputs));
        Tensor index = Autograd.over(inputs.indices(layer.r(), layer.k())).to(torch.ScalarType.Long);
        Tensor columns = w.index_select(ROWS, index);
        if (!layer.trains()) {
            return Autograd.inference("y", () -> {
                w.index_copy_(ROWS, index, columns);
                return torch.linear(x, w);
            });
        }
        Tensor dy = dy(inputs, layer);
        Tensor y = Autograd.over(layer.y(inputs));
        Tensor dx = Autograd.over(layer.dx(inputs));
        Tensor dd = Autograd.over(inputs.gradient(layer.n(), layer.r()));
        return Autograd.manual(() -> {
                    w.index_copy_(ROWS, index, columns);
                    y.copy_(torch.linear(x, w));
                    Tensor kept = x.index_select(ROWS, index);
                    dx.copy_(torch.matmul(dy, w));
                    dd.copy_(torch.matmul(dy.t(), kept));
                })
                .gives("y", Autograd.values(() -> y))
                .gives("dx", Autograd.values(() -> dx))
                .gives("dd", Autograd.values(() -> dd));
    }

    /** PEFT's (IA)³, at the outputs or at the inputs. */
    public static Work ia3(Inputs inputs, LayerBenchmark layer, boolean atInputs) {
        Autograd tape = new Autograd();
        Tensor w = w(inputs, layer);
        Tensor l = tape.leaf("dl", layer.scales(inputs, atInputs));
        torch.ScalarType type = Autograd.type(inputs.dtype());
        return work(
                inputs,
                layer,
                tape,
                x -> atInputs
                        ? torch.linear(x.mul(l).to(type), w)
                        : torch.linear(x, w).mul(l).to(type));
    }
}
