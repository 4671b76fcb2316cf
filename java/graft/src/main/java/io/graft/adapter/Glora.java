package io.graft.adapter;

import io.graft.io.PeftGloraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.HadamardScale;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.ops.Random;
import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * GLoRA (arXiv 2306.07967, equation 10), as PEFT configures and stores it: {@code W + W ⊙ A + B}, of which A and B are low-rank
 * matrices, or with {@code config_A_B} vector one number for each output. What it does to biases a Llama has no place for.
 * Fresh adapters start as the base model.
 */
public final class Glora extends PeftAdapter {
    private final PeftGloraConfig config;
    private final long seed;
    private long offset = Lora.FIRST_OFFSET;

    private Glora(PeftGloraConfig config, long seed, Path source, boolean trained) {
        super(config, source, trained);
        this.config = config;
        this.seed = seed;
    }

    /** A fresh adapter, to be trained. */
    public static Glora create(PeftGloraConfig config, long seed) {
        return new Glora(config, seed, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static Glora load(Path directory) {
        return new Glora(PeftGloraConfig.read(directory), 0, directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static Glora frozen(Path directory) {
        return new Glora(PeftGloraConfig.read(directory), 0, directory, false);
    }

    @Override
    boolean servesCodes(String module) {
        return true;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".glora_";
        long inputs = projection.weight().k();
        long outputs = projection.weight().n();
        boolean zero = config.startsAtBase();
        absent(scope, projection, key + "C.zeros", inputs, 1);
        absent(scope, projection, key + "D.zeros", outputs);
        absent(scope, projection, key + "E.zeros", outputs);
        if (config.vectors()) {
            Tensor ones = wide(scope, projection, 1, inputs);
            TensorOps.fill(scope.context(), 1, ones);
            Parameter everywhere = new Parameter("ones for " + key, ones);
            Parameter scale = parameter(scope, projection, key + "A.X", outputs, 1, zero);
            Parameter shift = parameter(scope, projection, key + "B.X", outputs, 1, zero);
            return HadamardScale.withShift(scope, everywhere, scale, everywhere, shift);
        }
        int rank = config.rank();
        Parameter b = parameter(scope, projection, key + "A.Xd", outputs, rank, zero);
        Parameter a = parameter(scope, projection, key + "A.Xu", rank, inputs, false);
        Parameter shiftB = parameter(scope, projection, key + "B.Xd", outputs, rank, zero);
        Parameter shiftA = parameter(scope, projection, key + "B.Xu", rank, inputs, false);
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

    private Parameter parameter(Scope scope, Projection projection, String key, long rows, long columns, boolean zero) {
        Tensor value = wide(scope, projection, rows, columns);
        if (fromFile()) {
            read(key, value);
        } else if (!zero) {
            // Kaiming's bound for a = √5.
            double bound = 1 / Math.sqrt(columns);
            Random.uniform(scope.context(), seed, offset, -bound, bound, value);
            offset += value.elements();
        }
        return train(scope, new Parameter(key, value));
    }

    public PeftGloraConfig config() {
        return config;
    }
}
