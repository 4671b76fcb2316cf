package io.graft.benchmarks.peers;

import io.graft.benchmarks.LayerBenchmark;
import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.Sketch;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Weight;
import java.util.Arrays;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/**
 * Layers whose weight is codes, as they are composed of LibTorch's operations: each pass decodes the whole matrix, and then
 * multiplies by it. The codes are those of Graft's contender. Backward is called by hand, since autograd functions, which
 * the originals are, cannot be written from Java.
 */
public final class TorchCodes {
    private static final long BLOCK = 64;
    private static final long NESTED = 256;
    private static final int LOW_NIBBLE = 15;
    private static final int NIBBLE_BITS = 4;
    private static final long LAST = -1;

    /** NF4 (QLoRA, arXiv 2305.14314, appendix E). */
    private static final float[] LEVELS = {
        -1.0f,
        -0.6961928009986877f,
        -0.5250730514526367f,
        -0.39491748809814453f,
        -0.28444138169288635f,
        -0.18477343022823334f,
        -0.09105003625154495f,
        0.0f,
        0.07958029955625534f,
        0.16093020141124725f,
        0.24611230194568634f,
        0.33791524171829224f,
        0.44070982933044434f,
        0.5626170039176941f,
        0.7229568362236023f,
        1.0f
    };

    private TorchCodes() {}

    /** Two codes of each byte, the high nibble first. */
    private static Tensor nibbles(Tensor bytes, torch.ScalarType type) {
        Tensor high = bytes.__rshift__(new Scalar(NIBBLE_BITS));
        Tensor low = bytes.__and__(new Scalar(LOW_NIBBLE));
        return torch.stack(new TensorVector(high, low), LAST).to(type).flatten();
    }

    /** bitsandbytes' signed dynamic map of 8 bits, by which scales are quantised once more. */
    static float[] dynamicMap() {
        float[] map = new float[256];
        int filled = 0;
        for (int decade = 0; decade < 7; decade++) {
            int parts = 1 << decade;
            for (int j = 0; j < parts; j++) {
                float from = (float) (0.1 + 0.9 * j / parts);
                float to = (float) (0.1 + 0.9 * (j + 1) / parts);
                float middle = (from + to) / 2 * (float) Math.pow(10, decade - 6);
                map[filled++] = middle;
                map[filled++] = -middle;
            }
        }
        map[filled++] = 0;
        map[filled] = 1;
        Arrays.sort(map);
        return map;
    }

    private static Tensor constant(Inputs inputs, float... values) {
        return Autograd.over(
                inputs.scope().tensor(Memory.BASE, DType.F32, values.length).set(values));
    }

    /** The matrix of an NF4 weight in the compute type, decoded anew with each call, as bitsandbytes' dequantize_4bit does. */
    private static Supplier<Tensor> decoded(Inputs inputs, LayerBenchmark layer) {
        Weight w = inputs.nf4(layer.n(), layer.k());
        Tensor codes = Autograd.over(w.codes());
        Tensor scales = Autograd.over(w.absmax());
        Tensor nested = Autograd.over(w.nestedAbsmax());
        Tensor offset = Autograd.over(w.nestedOffset());
        Tensor levels = constant(inputs, LEVELS);
        Tensor map = constant(inputs, dynamicMap());
        torch.ScalarType type = Autograd.type(inputs.dtype());
        return () -> {
            Tensor nearly = torch.index_select(map, 0, scales.to(torch.ScalarType.Int));
            Tensor absmax = nearly.mul(nested.repeat_interleave(NESTED).narrow(0, 0, nearly.size(0)))
                    .add(offset);
            return torch.index_select(levels, 0, nibbles(codes, torch.ScalarType.Int))
                    .view(-1, BLOCK)
                    .mul(absmax.unsqueeze(LAST))
                    .view(layer.n(), layer.k())
                    .to(type);
        };
    }

    /** QLoRA: bitsandbytes' 4-bit layer, which decodes W in forward and in backward, under PEFT's LoRA. */
    public static Work qlora(Inputs inputs, LayerBenchmark layer) {
        Supplier<Tensor> w = decoded(inputs, layer);
        Tensor a = Autograd.over(layer.a(inputs));
        Tensor b = Autograd.over(layer.b(inputs));
        Tensor x = Autograd.over(layer.plainX(inputs));
        Scalar scale = new Scalar(layer.scale());
        torch.ScalarType type = Autograd.type(inputs.dtype());
        if (!layer.trains()) {
            return Autograd.inference("y", () -> {
                Tensor low = torch.linear(torch.linear(x.to(torch.ScalarType.Float), a), b);
                return torch.linear(x, w.get()).add(low.mul(scale)).to(type);
            });
        }
        Tensor dy = Autograd.over(layer.plainDy(inputs));
        Tensor y = Autograd.over(layer.y(inputs));
        Tensor dx = Autograd.over(layer.dx(inputs));
        Tensor da = Autograd.over(inputs.gradient(layer.r(), layer.k()));
        Tensor db = Autograd.over(inputs.gradient(layer.n(), layer.r()));
        return Autograd.manual(() -> {
                    Tensor wide = x.to(torch.ScalarType.Float);
                    Tensor s = torch.linear(wide, a);
                    y.copy_(torch.linear(x, w.get()).add(torch.linear(s, b).mul(scale)));
                    Tensor dlow = dy.to(torch.ScalarType.Float).mul(scale);
                    db.copy_(torch.matmul(dlow.t(), s));
                    Tensor ds = torch.matmul(dlow, b);
                    da.copy_(torch.matmul(ds.t(), wide));
                    dx.copy_(torch.matmul(dy, w.get()).add(torch.matmul(ds, a).to(type)));
                })
                .gives("y", Autograd.values(() -> y))
                .gives("dx", Autograd.values(() -> dx))
                .gives("da", Autograd.values(() -> da))
                .gives("db", Autograd.values(() -> db));
    }

    /**
     * SketchTune as its authors run it (github.com/LeanModels/SketchTune, tailor_utils.py): W is gathered from the tables in
     * forward and again in backward, and the tables' gradient is the dense one scattered by code. Sums are of f32 here.
     */
    public static Work sketch(Inputs inputs, LayerBenchmark layer, io.graft.tensor.Tensor table) {
        long groups = table.size(1);
        Tensor tables = Autograd.over(table);
        Tensor bytes = packed(inputs, layer, table);
        torch.ScalarType type = Autograd.type(inputs.dtype());
        Tensor x = Autograd.over(layer.plainX(inputs));
        Supplier<Tensor> codes =
                () -> nibbles(bytes, torch.ScalarType.Long).view(layer.n(), groups, layer.k() / groups);
        Supplier<Tensor> w = () -> torch.gather(tables.to(type), 2, codes.get()).view(layer.n(), layer.k());
        if (!layer.trains()) {
            return Autograd.inference("y", () -> torch.linear(x, w.get()));
        }
        Tensor dy = Autograd.over(layer.plainDy(inputs));
        Tensor y = Autograd.over(layer.y(inputs));
        Tensor dx = Autograd.over(layer.dx(inputs));
        Tensor dtable = Autograd.over(inputs.gradient(table.shape()));
        return Autograd.manual(() -> {
                    y.copy_(torch.linear(x, w.get()));
                    dx.copy_(torch.matmul(dy, w.get()));
                    Tensor dw = torch.matmul(dy.t(), x).to(torch.ScalarType.Float);
                    dtable.zero_().scatter_add_(2, codes.get(), dw.view(layer.n(), groups, layer.k() / groups));
                })
                .gives("y", Autograd.values(() -> y))
                .gives("dx", Autograd.values(() -> dx))
                .gives("dtable", Autograd.values(() -> dtable));
    }

    /** The codes of Graft's contender, two in a byte. */
    private static Tensor packed(Inputs inputs, LayerBenchmark layer, io.graft.tensor.Tensor table) {
        Weight w = inputs.sketch(table, layer.k());
        io.graft.tensor.Tensor codes = inputs.scope().tensor(Memory.BASE, DType.U8, layer.n(), layer.k());
        Sketch.unpack(inputs.context(), w, codes);
        Tensor pairs = Autograd.over(codes).view(-1, 2);
        return pairs.select(1, 0).__lshift__(new Scalar(NIBBLE_BITS)).__or__(pairs.select(1, 1));
    }
}
