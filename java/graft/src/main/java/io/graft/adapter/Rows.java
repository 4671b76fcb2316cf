package io.graft.adapter;

import io.graft.io.PeftRowsConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.PartialRows;
import io.graft.nn.Projection;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Trained rows: of each targeted projection r whole rows of W are trained in place, {@code W[I, :] = W₀[I, :] + D}, as S2FT
 * does beside columns (arXiv 2412.06289) and FAR with nodes of the MLP (arXiv 2205.01541). Fresh adapters start at D = 0,
 * so that step 0 is the base model bit by bit, and the base model's rows are kept: {@link #disable} gives them back.
 *
 * <p>PEFT does not know this method. The files are like PEFT's: {@code adapter_config.json} with the type {@code ROWS}, and
 * {@code <module>.rows_delta} [r, in] beside {@code <module>.rows_indices} [r]; {@link #saveLora} writes what PEFT reads.
 */
public final class Rows extends PeftAdapter<PeftRowsConfig> {
    private static final String DELTA = ".rows_delta";
    private static final String INDICES = ".rows_indices";

    private final RowSelection selection;

    private Rows(PeftRowsConfig config, RowSelection selection, Origin origin) {
        super(config, origin);
        this.selection = selection;
    }

    /** A fresh adapter, to be trained. */
    public static Rows create(PeftRowsConfig config, RowSelection selection) {
        return new Rows(config, selection, Origin.fresh(0));
    }

    /** An adapter from a directory, to be trained further. */
    public static Rows load(Path directory) {
        return new Rows(PeftRowsConfig.read(directory), null, Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Rows frozen(Path directory) {
        return new Rows(PeftRowsConfig.read(directory), null, Origin.of(directory, false));
    }

    @Override
    boolean servesCodes(String module) {
        return false;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        Weight weight = projection.weight();
        String module = projection.module();
        String key = PREFIX + module;
        int rank = config.rank(module);
        if (rank > weight.n()) {
            throw new IllegalArgumentException(
                    "Rows: r is " + rank + ", but " + module + " has only " + weight.n() + " outputs");
        }
        Tensor indices = scope.tensor(Memory.ADAPTER, DType.I64, rank);
        Tensor delta = wide(scope, projection, rank, weight.k());
        if (fromFile()) {
            read(key + INDICES, indices);
            read(key + DELTA, delta);
        } else {
            long[] chosen = selection.choose(projection, rank);
            if (chosen.length != rank) {
                throw new IllegalArgumentException(
                        "Rows: " + chosen.length + " rows are chosen for " + module + ", but r is " + rank);
            }
            indices.set(chosen);
        }
        constant(key + INDICES, indices);
        Tensor original = scope.tensor(Memory.ADAPTER, weight.dtype(), rank, weight.k());
        io.graft.ops.Rows.read(scope.context(), weight, indices, original);
        return new PartialRows(train(scope, new Parameter(key + DELTA, delta)), indices, original);
    }

    /** Gives the model its own rows back, bit by bit, until {@link #enable}. */
    public void disable() {
        projections().forEach(projection -> part(projection).restore(projection.weight()));
    }

    /** Puts the trained rows in place again. */
    public void enable() {
        changed();
    }

    private static PartialRows part(Projection projection) {
        return (PartialRows) projection.attachment();
    }

    /** As {@link #save}, as the LoRA adapter that does the same: the columns of B select the rows, A is the delta. */
    public void saveLora(Path directory) {
        if (projections().isEmpty()) {
            throw new IllegalStateException("Rows.saveLora: nothing is attached");
        }
        Map<String, Tensor> tensors = new LinkedHashMap<>(tensors());
        try (Scope scope = projections().get(0).weight().scope().context().scope()) {
            for (Projection projection : projections()) {
                PartialRows part = part(projection);
                long[] rows = part.indices().longs();
                Tensor b = wide(scope, projection, projection.weight().n(), rows.length);
                for (int i = 0; i < rows.length; i++) {
                    long at = rows[i] * b.stride(0) + i;
                    TensorOps.fill(scope.context(), 1, scope.view(b, at, new long[] {1}, new long[] {1}));
                }
                String key = PREFIX + projection.module();
                tensors.remove(key + INDICES);
                tensors.put(key + ".lora_A.weight", tensors.remove(key + DELTA));
                tensors.put(key + ".lora_B.weight", b);
            }
            write(directory, config.asLora(), tensors);
        }
    }
}
