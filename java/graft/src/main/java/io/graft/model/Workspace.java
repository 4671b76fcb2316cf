package io.graft.model;

import io.graft.nn.BlockStack;
import io.graft.nn.Pass;
import io.graft.nn.Precision;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.IntBuffer;

/** All buffers and views of one (batch, length): made once, so that a training step makes no tensor and no garbage. */
final class Workspace implements AutoCloseable {
    final Pass pass;
    final BlockStack stack;
    final Tensor ids;
    final Tensor labels;
    /** Output of the last norm [T, hidden], and what its backward needs. */
    final Tensor hidden;

    final Tensor rstd;
    final Tensor dhidden;
    final Tensor loss;

    private final Scope scope;
    private final IntBuffer idsMemory;
    private final IntBuffer labelsMemory;
    private final ByteBuffer lossMemory;
    private Tensor logits;

    Workspace(Llama model, int batch, int length, BlockStack.Mode mode) {
        this.scope = model.scope().scope();
        DType dtype = model.dtype();
        boolean training = mode != BlockStack.Mode.INFERENCE;
        int width = model.config().hiddenSize();
        long rows = (long) batch * length;
        pass = new Pass(scope, batch, length, model.inverseFrequencies());
        stack = model.stack(scope, batch, length, mode);
        ids = scope.tensor(Memory.ACTIVATION, DType.I32, rows);
        labels = scope.tensor(Memory.ACTIVATION, DType.I32, rows);
        hidden = Precision.activation(scope, dtype, rows, width, 0);
        loss = scope.tensor(Memory.ACTIVATION, Precision.accumulator(dtype), 1);
        idsMemory = ids.buffer().asIntBuffer();
        labelsMemory = labels.buffer().asIntBuffer();
        lossMemory = loss.buffer();
        rstd = training ? scope.tensor(Memory.ACTIVATION, Precision.accumulator(dtype), rows) : null;
        dhidden = training ? Precision.activation(scope, dtype, rows, width, 0) : null;
    }

    boolean serves(int batch, int length) {
        return pass.batch() == batch && pass.length() == length;
    }

    /** why: writing through buffers made once leaves no garbage, which Tensor.set does. */
    void fill(int[] tokens) {
        idsMemory.put(0, tokens);
    }

    void fillLabels(Batch batch) {
        batch.shiftLabels(labelsMemory);
    }

    double lossValue() {
        return loss.dtype() == DType.F64 ? lossMemory.getDouble(0) : lossMemory.getFloat(0);
    }

    /** Logits [T, vocabulary] in the accumulator's dtype, made when first asked for. */
    Tensor logits(long vocabulary) {
        if (logits == null) {
            DType wide = loss.dtype();
            logits = scope.tensor(Memory.ACTIVATION, wide, pass.tokens(), vocabulary);
        }
        return logits;
    }

    Scope scope() {
        return scope;
    }

    @Override
    public void close() {
        scope.close();
    }
}
