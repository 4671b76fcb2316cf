package io.graft.benchmarks.peers;

import io.graft.benchmarks.measure.Work;
import io.graft.tensor.Tensor;
import java.util.function.Supplier;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/**
 * The ops of a transformer besides its linear layers as LibTorch has them, or as Hugging Face's models compose them. Each
 * takes Graft's input tensors; a null dy is forward alone.
 */
public final class TorchOps {
    private static final long LAST = -1;

    private TorchOps() {}

    private static Work work(Autograd tape, Supplier<org.bytedeco.pytorch.Tensor> forward, Tensor dy) {
        return dy == null ? Autograd.inference("y", forward) : tape.training("y", forward, Autograd.over(dy));
    }

    private static org.bytedeco.pytorch.Tensor input(Autograd tape, String gradient, Tensor tensor, Tensor dy) {
        return dy == null ? Autograd.over(tensor) : tape.leaf(gradient, tensor);
    }

    /** LibTorch's own RMS norm. */
    public static Work rmsNorm(Tensor x, Tensor w, double eps, Tensor dy) {
        Autograd tape = new Autograd();
        org.bytedeco.pytorch.Tensor input = input(tape, "dx", x, dy);
        TensorOptional weight = new TensorOptional(input(tape, "dw", w, dy));
        DoubleOptional epsilon = new DoubleOptional(eps);
        long[] shape = {w.size(0)};
        return work(tape, () -> torch.rms_norm(input, shape, weight, epsilon), dy);
    }

    /** The RMS norm of Hugging Face's Llama: in f32, step by step. */
    public static Work composedRmsNorm(Tensor x, Tensor w, double eps, Tensor dy) {
        Autograd tape = new Autograd();
        org.bytedeco.pytorch.Tensor input = input(tape, "dx", x, dy);
        org.bytedeco.pytorch.Tensor weight = input(tape, "dw", w, dy);
        Scalar two = new Scalar(2.0);
        Scalar epsilon = new Scalar(eps);
        torch.ScalarType type = Autograd.type(x.dtype());
        return work(
                tape,
                () -> {
                    org.bytedeco.pytorch.Tensor wide = input.to(torch.ScalarType.Float);
                    org.bytedeco.pytorch.Tensor variance =
                            wide.pow(two).mean(new long[] {LAST}, true, new ScalarTypeOptional());
                    return weight.mul(wide.mul(variance.add(epsilon).rsqrt()).to(type));
                },
                dy);
    }

    public static Work layerNorm(Tensor x, Tensor w, Tensor b, double eps, Tensor dy) {
        Autograd tape = new Autograd();
        org.bytedeco.pytorch.Tensor input = input(tape, "dx", x, dy);
        TensorOptional weight = new TensorOptional(input(tape, "dw", w, dy));
        TensorOptional bias = new TensorOptional(input(tape, "db", b, dy));
        long[] shape = {w.size(0)};
        return work(tape, () -> torch.layer_norm(input, shape, weight, bias, eps, false), dy);
    }

    public static Work gelu(Tensor x, Tensor dy) {
        Autograd tape = new Autograd();
        org.bytedeco.pytorch.Tensor input = input(tape, "dx", x, dy);
        return work(tape, () -> torch.gelu(input, "tanh"), dy);
    }

    public static Work sigmoid(Tensor x, Tensor dy) {
        Autograd tape = new Autograd();
        org.bytedeco.pytorch.Tensor input = input(tape, "dx", x, dy);
        return work(tape, input::sigmoid, dy);
    }

    public static Work swiglu(Tensor gate, Tensor up, Tensor dy) {
        Autograd tape = new Autograd();
        org.bytedeco.pytorch.Tensor left = input(tape, "dgate", gate, dy);
        org.bytedeco.pytorch.Tensor right = input(tape, "dup", up, dy);
        return work(tape, () -> torch.silu(left).mul(right), dy);
    }

    public static Work embedding(Tensor table, Tensor ids) {
        org.bytedeco.pytorch.Tensor rows = Autograd.over(table);
        org.bytedeco.pytorch.Tensor which = Autograd.over(ids);
        return Autograd.inference("y", () -> torch.embedding(rows, which));
    }

    /** Causal attention of q [B, T, Hq, D] to k, v [B, S, Hk, D]; where T is 1 to all keys. */
    public static Work attention(Tensor q, Tensor k, Tensor v, double scale, Tensor dy) {
        Autograd tape = new Autograd();
        org.bytedeco.pytorch.Tensor queries = input(tape, "dq", q, dy);
        org.bytedeco.pytorch.Tensor keys = input(tape, "dk", k, dy);
        org.bytedeco.pytorch.Tensor values = input(tape, "dv", v, dy);
        boolean causal = q.size(1) > 1;
        TensorOptional noMask = new TensorOptional();
        DoubleOptional factor = new DoubleOptional(scale);
        return work(
                tape,
                () -> torch.scaled_dot_product_attention(
                                queries.transpose(1, 2),
                                keys.transpose(1, 2),
                                values.transpose(1, 2),
                                noMask,
                                0,
                                causal,
                                factor,
                                true)
                        .transpose(1, 2),
                dy);
    }

    /** Hugging Face's rotary embedding: cos and sin [T, D] made before, halves turned by joining. */
    public static Work rope(Tensor x, Tensor cos, Tensor sin, Tensor dy) {
        Autograd tape = new Autograd();
        org.bytedeco.pytorch.Tensor input = input(tape, "dx", x, dy);
        torch.ScalarType type = Autograd.type(x.dtype());
        org.bytedeco.pytorch.Tensor c = Autograd.over(cos).to(type).unsqueeze(1);
        org.bytedeco.pytorch.Tensor s = Autograd.over(sin).to(type).unsqueeze(1);
        long half = x.size(3) / 2;
        return work(
                tape,
                () -> {
                    org.bytedeco.pytorch.Tensor turned = torch.cat(
                            new TensorVector(input.narrow(3, half, half).neg(), input.narrow(3, 0, half)), LAST);
                    return input.mul(c).add(turned.mul(s));
                },
                dy);
    }

    /** Logits in f32 of a linear head and their mean cross-entropy, with the gradient of h in training. */
    public static Work crossEntropy(Tensor h, Tensor w, Tensor labels, boolean training) {
        Autograd tape = new Autograd();
        org.bytedeco.pytorch.Tensor hidden = training ? tape.leaf("dh", h) : Autograd.over(h);
        org.bytedeco.pytorch.Tensor head = Autograd.over(w);
        org.bytedeco.pytorch.Tensor which = Autograd.over(labels).to(torch.ScalarType.Long);
        Supplier<org.bytedeco.pytorch.Tensor> loss =
                () -> torch.cross_entropy_loss(torch.linear(hidden, head).to(torch.ScalarType.Float), which);
        return training ? tape.training("loss", loss, null) : Autograd.inference("loss", loss);
    }
}
