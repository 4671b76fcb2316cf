package io.graft.model;

import io.graft.nn.Adaptable;
import io.graft.nn.AttentionBlock;
import io.graft.nn.BlockShape;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** Some modules of a model whose others are not in memory, in fp32, as an adapter sees them when it is merged. */
final class ModelPart implements Adaptable {
    private final Scope scope;
    private final LlamaLayers plan;
    private final boolean whole;
    private final List<Projection> projections = new ArrayList<>();
    private final List<Parameter> parameters = new ArrayList<>();

    /** @param plan the whole model, whose numbers are nowhere */
    ModelPart(Scope scope, LlamaLayers plan, boolean whole) {
        this.scope = scope;
        this.plan = plan;
        this.whole = whole;
    }

    void add(Projection projection) {
        projections.add(projection);
        if (projection.parameter() != null) {
            parameters.add(projection.parameter());
        }
        if (projection.bias() != null) {
            parameters.add(projection.bias());
        }
    }

    void add(Parameter parameter) {
        parameters.add(parameter);
    }

    @Override
    public boolean whole() {
        return whole;
    }

    @Override
    public Scope scope() {
        return scope;
    }

    @Override
    public BlockShape shape() {
        return plan.shape();
    }

    @Override
    public int layers() {
        return plan.blocks().length;
    }

    @Override
    public DType dtype() {
        return DType.F32;
    }

    @Override
    public Parameter embedding() {
        throw missing("the embedding");
    }

    @Override
    public List<Projection> projections() {
        return projections;
    }

    @Override
    public List<String> unused() {
        return plan.unused();
    }

    @Override
    public Tensor inverseFrequencies() {
        throw missing("the rotary embedding");
    }

    @Override
    public AttentionBlock attention(int layer) {
        throw missing("the attention of block " + layer);
    }

    @Override
    public List<Parameter> parameters() {
        return parameters;
    }

    private static UnsupportedOperationException missing(String what) {
        return new UnsupportedOperationException("merge: the adapter reads " + what + ", which a part does not have");
    }
}
