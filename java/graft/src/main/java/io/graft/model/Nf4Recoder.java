package io.graft.model;

import io.graft.io.Checkpoint;
import io.graft.io.CodedWeights;
import io.graft.io.LlamaConfig;
import io.graft.nn.Block;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.WeightForm;
import java.util.Map;

/** A checkpoint of NF4 codes, double quantised: the codes that a dense one gets when it is loaded as NF4. */
public final class Nf4Recoder extends Recoder {
    public Nf4Recoder(Scope scope, Checkpoint checkpoint, LlamaConfig config, DType compute) {
        super(scope, checkpoint, config, compute, WeightForm.NF4);
    }

    @Override
    boolean recode(Scope inner, Block block, Map<String, Tensor> tensors, Listener listener) {
        for (Projection projection : block.projections()) {
            Projection coded = coded(inner, projection);
            coded.quantize(projection.weight().matrix());
            CodedWeights.put(tensors, inner, projection.module(), coded.weight(), null);
            if (!listener.recoded(projection.module(), Double.NaN)) {
                return false;
            }
        }
        return true;
    }
}
