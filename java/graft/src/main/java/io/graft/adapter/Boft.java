package io.graft.adapter;

import io.graft.io.PeftBoftConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Butterfly;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * BOFT (arXiv 2311.06243), as PEFT configures and stores it: a layer's inputs are rotated by a butterfly, a product of
 * block-diagonal rotations whose blocks take columns from further and further apart, and its outputs are scaled. Fresh adapters
 * start as the base model.
 */
public final class Boft extends PeftAdapter<PeftBoftConfig> {
    private static final double DEVIATION = 0.1;

    private Boft(PeftBoftConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static Boft create(PeftBoftConfig config, long seed) {
        return new Boft(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Boft load(Path directory) {
        return new Boft(PeftBoftConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Boft frozen(Path directory) {
        return new Boft(PeftBoftConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    boolean servesCodes(String module) {
        return false;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        String key = PREFIX + module + ".boft_";
        long inputs = projection.weight().k();
        int factors = fromFile() ? (int) shapeInFile(key + "R")[0] : config.factors();
        int size = config.blockSize(module, inputs, factors);
        DType wide = Precision.accumulator(projection.dtype());
        Tensor matrices = scope.tensor(Memory.ADAPTER, wide, factors, inputs / size, size, size);
        Tensor scales = scope.tensor(Memory.ADAPTER, wide, projection.weight().n(), 1);
        boolean base = config.startsAtBase();
        Parameter rotations = parameter(scope, key + "R", matrices, base ? this::skip : normal(DEVIATION));
        Parameter lengths =
                parameter(scope, key + "s", scales, base ? PeftAdapter::ones : ones -> normal(ones, 1, DEVIATION));
        List<Tensor> orders = new ArrayList<>();
        for (int i = 0; i < factors; i++) {
            // A factor of the blocks themselves leaves columns where they are.
            orders.add(
                    i == 0
                            ? null
                            : scope.tensor(Memory.ADAPTER, DType.I32, inputs).set(order((int) inputs, size, i)));
        }
        return new Butterfly(scope, rotations, lengths, orders, buffers(), gradients());
    }

    /**
     * The columns in the order of factor i's blocks. PEFT moves halves of blocks within stretches of 2^i blocks: the even halves
     * come first and then the odd ones, and the block at a place takes what was moved there.
     */
    private static int[] order(int inputs, int size, int factor) {
        int half = size / 2;
        int halves = 2 << factor;
        int[] order = new int[inputs];
        for (int place = 0; place < inputs; place++) {
            int stretch = place / (halves * half) * halves;
            int piece = place / half % halves;
            int from = piece < halves / 2 ? 2 * piece : 2 * (piece - halves / 2) + 1;
            order[(stretch + from) * half + place % half] = place;
        }
        return order;
    }
}
