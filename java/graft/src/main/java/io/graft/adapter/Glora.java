package io.graft.adapter;

import io.graft.io.PeftGloraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.HadamardScale;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.function.Consumer;

/**
 * GLoRA (arXiv 2306.07967, equation 10), as PEFT configures and stores it: {@code W + W ⊙ A + B}, of which A and B are low-rank
 * matrices, or with {@code config_A_B} vector one number for each output. What it does to biases a Llama has no place for.
 * Fresh adapters start as the base model.
 */
public final class Glora extends PeftAdapter<PeftGloraConfig> {
    private Glora(PeftGloraConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static Glora create(PeftGloraConfig config, long seed) {
        return new Glora(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Glora load(Path directory) {
        return new Glora(PeftGloraConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Glora frozen(Path directory) {
        return new Glora(PeftGloraConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".glora_";
        long inputs = projection.weight().k();
        long outputs = projection.weight().n();
        absent(scope, projection, key + "C.zeros", inputs, 1);
        absent(scope, projection, key + "D.zeros", outputs);
        absent(scope, projection, key + "E.zeros", outputs);
        if (config.vectors()) {
            Tensor ones = wide(scope, projection, 1, inputs);
            TensorOps.fill(scope.context(), 1, ones);
            Parameter everywhere = new Parameter("ones for " + key, ones);
            Parameter scale = parameter(scope, key + "A.X", wide(scope, projection, outputs, 1), first(1));
            Parameter shift = parameter(scope, key + "B.X", wide(scope, projection, outputs, 1), first(1));
            return HadamardScale.withShift(scope, everywhere, scale, everywhere, shift);
        }
        int rank = config.rank();
        Parameter b = parameter(scope, key + "A.Xd", wide(scope, projection, outputs, rank), first(rank));
        Parameter a = parameter(scope, key + "A.Xu", wide(scope, projection, rank, inputs), kaiming(inputs));
        Parameter shiftB = parameter(scope, key + "B.Xd", wide(scope, projection, outputs, rank), first(rank));
        Parameter shiftA = parameter(scope, key + "B.Xu", wide(scope, projection, rank, inputs), kaiming(inputs));
        return HadamardScale.withShift(scope, a, b, shiftA, shiftB);
    }

    /** What PEFT writes for a path that changes a bias where there is none. */
    private void absent(Scope scope, Projection projection, String key, long... shape) {
        Tensor zeros = scope.tensor(Memory.ADAPTER, Precision.accumulator(projection.dtype()), shape);
        if (fromFile() && inFile(key)) {
            read(key, zeros);
        }
        constant(key, zeros);
    }

    private Consumer<Tensor> first(long columns) {
        return config.startsAtBase() ? PeftAdapter::zero : kaiming(columns);
    }
}
