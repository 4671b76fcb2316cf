package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.NestedLowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * DyLoRA (arXiv 2210.07558, section 4): LoRA that works at any rank up to its own. In each step a rank b is drawn for all
 * projections, which then have only the first b rows of A and columns of B, scaled by alpha / b; gradients of the others are
 * zero. Evaluation sees the whole adapter, and {@link #saveRank} writes a shorter one.
 */
public final class DyLora extends LoraTerms {
    private final List<Parameter> factors = new ArrayList<>();
    private int[] saved = {};
    private int largest;
    private long steps;

    private DyLora(PeftLoraConfig config, long seed) {
        super(config, seed);
        if (config.rankStabilised()) {
            throw new IllegalArgumentException("DyLora: the scale at rank b is alpha / b; use_rslora is not supported");
        }
    }

    /** A fresh adapter, to be trained. */
    public static DyLora create(PeftLoraConfig config, long seed) {
        return new DyLora(config, seed);
    }

    /** Lets {@link #save} also write the adapter at these ranks, into the folders {@code rank-<r>} of its directory. */
    public DyLora saving(int... ranks) {
        saved = ranks.clone();
        for (int rank : saved) {
            expect(rank, config().rank());
        }
        return this;
    }

    @Override
    boolean start(Tensor e) {
        TensorOps.fill(e.scope().context(), 1, e);
        largest = Math.max(largest, (int) e.size(0));
        return false;
    }

    @Override
    Attachment attachment(Projection projection, Terms terms) {
        factors.add(terms.factors());
        return new NestedLowRank(lowRank(projection, terms.a(), terms.b()), scaled(projection, terms));
    }

    /** why: forward passes without gradients evaluate the whole adapter. */
    @Override
    public boolean trainsWithoutGradients() {
        return false;
    }

    @Override
    public void starting(long total) {
        draw();
    }

    /** why not: the rank of a step is a number of its ops. */
    @Override
    public boolean repeats() {
        return false;
    }

    @Override
    public void stepped(OptimiserStep step) {
        steps = step.number();
        draw();
    }

    @Override
    public void restored(long done) {
        steps = done;
        draw();
    }

    /** The rank of the next step, of projections that have as much. */
    public int rank() {
        return 1 + (int) Math.floorMod(Lora.mix(Lora.mix(seed) + steps), (long) largest);
    }

    private void draw() {
        int rank = rank();
        for (Parameter parameter : factors) {
            double[] e = new double[(int) parameter.value().size(0)];
            int first = Math.min(rank, e.length);
            for (int i = 0; i < first; i++) {
                e[i] = (double) e.length / first;
            }
            parameter.value().set(e);
        }
    }

    /** Writes the first terms alone, as a LoRA adapter of that rank; shorter projections stay as they are. */
    public void saveRank(int rank, Path directory) {
        expect(rank, largest);
        Map<String, Tensor> tensors = new LinkedHashMap<>(tensors());
        try (Scope scope = factors.get(0).value().scope().context().scope()) {
            tensors.replaceAll((key, tensor) -> key.contains(".lora_") ? cut(scope, key, tensor, rank) : tensor);
            write(directory, config().atMost(rank), tensors);
        }
    }

    private static void expect(int rank, int largest) {
        if (rank < 1 || rank > largest) {
            throw new IllegalArgumentException("DyLora: a rank to be saved is " + rank + ", must be in 1.." + largest);
        }
    }

    @Override
    public void save(Path directory) {
        write(directory, config(), tensors());
        for (int rank : saved) {
            saveRank(rank, directory.resolve("rank-" + rank));
        }
    }

    private static Tensor cut(Scope scope, String key, Tensor tensor, int rank) {
        boolean down = key.endsWith("lora_A.weight");
        long rows = down ? Math.min(rank, tensor.size(0)) : tensor.size(0);
        long columns = down ? tensor.size(1) : Math.min(rank, tensor.size(1));
        Tensor shorter = scope.tensor(Memory.WORKSPACE, tensor.dtype(), rows, columns);
        Tensor part = scope.view(tensor, 0, new long[] {rows, columns}, tensor.strides());
        TensorOps.copy(scope.context(), part, shorter);
        return shorter;
    }
}
