package io.graft.nn;

import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;

/** What an adapter sees of a model: its named linear layers and parameters, and the scope that lives as long. */
public interface Adaptable {
    Scope scope();

    /** The sizes of each block. */
    BlockShape shape();

    /** The number of blocks. */
    int layers();

    /** The compute dtype. */
    DType dtype();

    /** The table of token embeddings. */
    Parameter embedding();

    /** The linear layers that an adapter may attach to, in the order of the forward pass. */
    List<Projection> projections();

    /** The inverse frequencies of the rotary embedding [headDim / 2]. */
    Tensor inverseFrequencies();

    /** The attention half of a block. */
    AttentionBlock attention(int layer);

    /** Whether this is all of the model, and not the part of it whose turn it is. */
    default boolean whole() {
        return true;
    }

    /** Modules of the base model's checkpoint that are not computed, and that no adapter is for. */
    default List<String> unused() {
        return List.of();
    }

    /** All parameters of the base model, in the order of the checkpoint format. */
    List<Parameter> parameters();
}
