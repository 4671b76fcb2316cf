package io.graft.model;

import io.graft.io.Checkpoint;
import io.graft.io.CodedWeights;
import io.graft.io.LlamaConfig;
import io.graft.io.SafetensorsFile;
import io.graft.nn.Attachment;
import io.graft.nn.Block;
import io.graft.nn.BlockStack;
import io.graft.nn.Calibration;
import io.graft.nn.Parameter;
import io.graft.nn.Pass;
import io.graft.nn.PositionEmbedding;
import io.graft.nn.Projection;
import io.graft.nn.RotaryEmbedding;
import io.graft.nn.TokenEmbedding;
import io.graft.ops.Sketch;
import io.graft.ops.SketchCompress;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.WeightForm;
import java.util.List;
import java.util.Map;

/**
 * A checkpoint of sketches (arXiv 2410.06364, 2407.10032), by how the layers' inputs are over calibration text. The text's
 * activations go through the blocks one after the other, and inside a block through the layers in four turns: q, k and v;
 * o; gate and up; down. Each turn sees what the layers before it give once they are sketches. Memory: the residual stream
 * of all tokens, one dense block, and two matrices [in, in] of one layer.
 */
public final class Sketcher extends Recoder {
    /**
     * How the sketches are made; see {@link SketchCompress}.
     *
     * @param batch sequences that go through a block at once
     */
    public record Settings(WeightForm form, double damping, double exponent, boolean byDiagonal, int batch) {}

    private final Settings settings;
    private final int[][] text;
    private final Tensor stream;
    private final RotaryEmbedding[] rotary;

    /** @param text sequences of token ids, all of one length */
    public Sketcher(
            Scope scope, Checkpoint checkpoint, LlamaConfig config, DType compute, Settings settings, int[][] text) {
        super(scope, checkpoint, config, compute, settings.form());
        this.settings = settings;
        this.text = text;
        stream = scope.tensor(Memory.ACTIVATION, compute, (long) text.length * text[0].length, config.hiddenSize());
        rotary = BlockForms.rotary(scope, config);
    }

    @Override
    boolean followsText() {
        return true;
    }

    /** The embeddings of the text. */
    @Override
    void start() {
        String name = names().embedding() + ".weight";
        try (Scope inner = scope.scope()) {
            Tensor table = inner.tensor(Memory.BASE, compute, config.vocabularySize(), config.hiddenSize());
            checkpoint.read(name, table);
            TokenEmbedding embedding =
                    new TokenEmbedding(new Parameter(name, table), BlockForms.embeddingScale(config));
            Pass pass = new Pass(inner, 1, text[0].length, rotary);
            PositionEmbedding positions = LlamaLayers.positions(inner, config, compute);
            if (positions != null) {
                checkpoint.read(positions.table().name(), positions.table().value());
            }
            PositionEmbedding.Rows places = positions == null ? null : positions.new Rows(inner, pass);
            Tensor ids = inner.tensor(Memory.ACTIVATION, DType.I32, text[0].length);
            for (int i = 0; i < text.length; i++) {
                try (Tensor rows = rows(i, 1)) {
                    embedding.forward(pass, ids.set(text[i]), rows);
                    if (places != null) {
                        places.add(rows);
                    }
                }
            }
        }
    }

    private Tensor rows(int first, int count) {
        return stream.rows((long) first * text[0].length, (long) (first + count) * text[0].length);
    }

    @Override
    boolean recode(Scope inner, Block block, Map<String, Tensor> tensors, Listener listener) {
        for (List<Projection> turn : block.turns()) {
            try (Scope calibrating = inner.scope()) {
                Tensor[] factor = factor(calibrating, block, turn.get(0));
                for (Projection projection : turn) {
                    double error = sketch(inner, projection, factor, tensors);
                    if (!listener.recoded(projection.module(), error)) {
                        return false;
                    }
                }
            }
        }
        return true;
    }

    /** The sequence of columns and the factor, out of the inputs of a layer; layers from it on are left out. */
    private Tensor[] factor(Scope calibrating, Block block, Projection first) {
        Context context = scope.context();
        long k = first.weight().k();
        Tensor h = calibrating.tensor(Memory.WORKSPACE, DType.F32, k, k);
        Tensor r = calibrating.tensor(Memory.WORKSPACE, DType.F32, k, k);
        // why: the op wants a weight of this shape and does not read it; r's memory is free until then.
        Tensor like = compute == DType.F32 ? r : calibrating.wrap(r.address(), compute, k, k);
        List<Projection> all = block.projections();
        for (Projection projection : all.subList(all.indexOf(first), all.size())) {
            Attachment part = projection == first ? new Calibration(h, calibrating.weight(like)) : Calibration.NONE;
            projection.attach(part);
        }
        pass(block, false);
        all.forEach(Projection::detach);
        Tensor order = calibrating.tensor(Memory.WORKSPACE, DType.I32, k);
        SketchCompress.factor(context, h, settings.damping(), settings.byDiagonal(), order, r);
        return new Tensor[] {order, r};
    }

    /** Makes the sketch and puts what it stands for into the dense layer. */
    private double sketch(Scope inner, Projection projection, Tensor[] factor, Map<String, Tensor> tensors) {
        Projection coded = coded(inner, projection);
        Tensor matrix = projection.weight().matrix();
        double sum = 0;
        try (Scope losses = inner.scope()) {
            Tensor loss = losses.tensor(Memory.WORKSPACE, DType.F32, matrix.size(0));
            SketchCompress.matrix(
                    scope.context(), matrix, factor[0], factor[1], settings.exponent(), coded.weight(), loss);
            for (float row : loss.floats()) {
                sum += row;
            }
        }
        Sketch.decode(scope.context(), coded.weight(), matrix);
        CodedWeights.put(tensors, inner, projection.module(), coded.weight(), coded.table());
        return Math.sqrt(2 * sum / (stream.size(0) * matrix.size(0)));
    }

    @Override
    void reuse(Scope inner, Block block, SafetensorsFile made) {
        for (Projection projection : block.projections()) {
            try (Scope reading = inner.scope()) {
                Projection coded = coded(reading, projection);
                CodedWeights.read(made, projection.module(), coded.weight(), coded.table());
                Sketch.decode(
                        scope.context(), coded.weight(), projection.weight().matrix());
            }
        }
    }

    /** The residual stream behind the block, which is the next one's input. */
    @Override
    void finish(Block block, boolean last) {
        if (!last) {
            pass(block, true);
        }
    }

    /** All text through the block; keep: its outputs take the place of its inputs. */
    private void pass(Block block, boolean keep) {
        for (int first = 0; first < text.length; first += settings.batch()) {
            int count = Math.min(settings.batch(), text.length - first);
            try (Scope inner = scope.scope();
                    Tensor rows = rows(first, count)) {
                Pass pass = new Pass(inner, count, text[0].length, rotary);
                pass.evaluating();
                BlockStack stack = new BlockStack(
                        inner,
                        compute,
                        BlockForms.shape(config),
                        new Block[] {block},
                        count,
                        text[0].length,
                        BlockStack.Mode.INFERENCE,
                        false,
                        null,
                        null);
                TensorOps.copy(scope.context(), rows, stack.input());
                stack.forward(pass, null, null);
                if (keep) {
                    TensorOps.copy(scope.context(), stack.output(), rows);
                }
            }
        }
    }
}
