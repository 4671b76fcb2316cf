package io.graft.nn;

import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import java.util.ArrayList;
import java.util.List;

/**
 * A decoder block: attention, then MLP, each added to the residual stream, or both side by side. {@link BlockStack} runs them.
 */
public final class Block {
    private final AttentionBlock attention;
    private final Mlp mlp;
    private final List<List<Projection>> turns;
    private final List<Projection> projections;
    private final List<Parameter> parameters;
    private boolean leftOut;

    /** @param path module path of the block, e.g. {@code model.layers.0} */
    public Block(Scope scope, String path, DType dtype, BlockShape shape, BlockForm form, Projection.Factory make) {
        this.attention = new AttentionBlock(scope, path, dtype, shape, form, make);
        this.mlp = new Mlp(scope, path, dtype, shape, form, make, attention.norm());
        List<Projection> expanding = mlp.gate() == null ? List.of(mlp.up()) : List.of(mlp.gate(), mlp.up());
        this.turns = List.of(attention.inputs(), List.of(attention.o()), expanding, List.of(mlp.down()));
        this.projections = turns.stream().flatMap(List::stream).toList();
        this.parameters = collect();
    }

    /** Whether attention and MLP stand side by side on one norm, instead of one behind the other. */
    public boolean parallel() {
        return mlp.norm() == attention.norm();
    }

    public AttentionBlock attention() {
        return attention;
    }

    public Mlp mlp() {
        return mlp;
    }

    private List<Parameter> collect() {
        List<Parameter> all = new ArrayList<>();
        all.addAll(attention.norm().parameters());
        turns.subList(0, 2).forEach(turn -> turn.forEach(layer -> layer.collect(all)));
        all.addAll(attention.headNorms());
        if (attention.postNorm() != null) {
            all.addAll(attention.postNorm().parameters());
        }
        if (!parallel()) {
            all.addAll(mlp.norm().parameters());
        }
        turns.subList(2, 4).forEach(turn -> turn.forEach(layer -> layer.collect(all)));
        if (mlp.postNorm() != null) {
            all.addAll(mlp.postNorm().parameters());
        }
        return List.copyOf(all);
    }

    /** All parameters in memory, in the order of the forward pass; of a quantised projection only the bias is one. */
    public List<Parameter> parameters() {
        return parameters;
    }

    /** The linear layers, in the order of the forward pass. */
    public List<Projection> projections() {
        return projections;
    }

    /** The linear layers, those that read the same input together, in the order of the forward pass. */
    public List<List<Projection>> turns() {
        return turns;
    }

    /**
     * Whether passes run the block without what is attached to its projections.
     *
     * @throws IllegalStateException if the weight of one holds what is attached; nothing changes then
     */
    public void leaveOut(boolean on) {
        for (Projection projection : projections()) {
            if (on && !projection.removable()) {
                throw new IllegalStateException(
                        "Block.leaveOut: the weight of " + projection.module() + " holds what its adapter does");
            }
        }
        projections().forEach(projection -> projection.leaveOut(on));
        leftOut = on;
    }

    /** Whether nothing in it learns now. */
    boolean idle() {
        return leftOut && attention.gated() == null && parameters.stream().noneMatch(Parameter::trainable);
    }

    public boolean trainable() {
        return attention.trainable() || mlp.trainable();
    }
}
