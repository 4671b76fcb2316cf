package io.graft.nn;

import io.graft.ops.Ia3;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.SplittableRandom;

/**
 * LoRA of which each batch of training sees a part (LoRA Dropout, arXiv 2404.09610, section 3.1): columns of A and rows of B are
 * zero by chance, for all tokens alike, and the others 1 / (1 - p) times as large. Rank is never dropped; outside training
 * it is plain LoRA. Masks come from the batch's dropout counter, so that a second forward has the same ones.
 */
public final class DroppedFactors implements Attachment {
    private final LowRank whole;
    private final LowRank part;
    private final double probability;
    private final Tensor inputs;
    private final Tensor outputs;
    private final Weight a;
    private final Weight b;
    private final Tensor[] masked = new Tensor[2];

    /**
     * @param whole LoRA without dropout of its own input
     * @param probability p, that a column of A or a row of B is dropped
     */
    public DroppedFactors(Scope scope, LowRank whole, double probability) {
        this.whole = whole;
        this.probability = probability;
        Tensor down = whole.a().value();
        Tensor up = whole.b().value();
        inputs = scope.tensor(Memory.ADAPTER, down.dtype(), down.size(1));
        outputs = scope.tensor(Memory.ADAPTER, up.dtype(), up.size(0));
        a = scope.weight(down);
        b = scope.weight(up);
        part = new LowRank(copy(scope, whole.a()), copy(scope, whole.b()), whole.scale(), 0, whole.dropoutKey());
        masked[0] = whole.a().trainable() ? scope.tensor(Memory.ADAPTER, down.dtype(), down.shape()) : null;
        masked[1] = whole.b().trainable() ? scope.tensor(Memory.ADAPTER, up.dtype(), up.shape()) : null;
    }

    private static Parameter copy(Scope scope, Parameter of) {
        Tensor value =
                scope.tensor(Memory.ADAPTER, of.value().dtype(), of.value().shape());
        Parameter copy = new Parameter(of.name() + ".dropped", value);
        return of.trainable() ? copy.train(scope) : copy;
    }

    @Override
    public int kept() {
        return whole.kept();
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        if (!pass.training()) {
            whole.forward(pass, weight, x, accumulate, y, kept);
            return;
        }
        long seed = pass.dropoutSeed() ^ whole.dropoutKey();
        SplittableRandom random = new SplittableRandom(seed * 0x9E3779B97F4A7C15L + pass.dropoutOffset());
        draw(random, inputs);
        draw(random, outputs);
        Ia3.merge(pass.context(), a, inputs, null, part.a().value());
        Ia3.merge(pass.context(), b, null, outputs, part.b().value());
        part.forward(pass, weight, x, accumulate, y, kept);
    }

    private void draw(SplittableRandom random, Tensor mask) {
        double[] values = new double[(int) mask.elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextDouble() < probability ? 0 : 1 / (1 - probability);
        }
        mask.set(values);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        part.a().zeroGradient();
        part.b().zeroGradient();
        part.backward(pass, weight, dy, x, kept, accumulate, dx);
        handOn(pass.context(), part.a(), inputs, null, masked[0], whole.a());
        handOn(pass.context(), part.b(), null, outputs, masked[1], whole.b());
    }

    private static void handOn(
            Context context, Parameter from, Tensor columns, Tensor rows, Tensor masked, Parameter to) {
        if (masked == null) {
            return;
        }
        try (Scope scope = context.scope()) {
            Ia3.merge(context, scope.weight(from.gradient()), columns, rows, masked);
            TensorOps.add(context, masked, to.gradient());
        }
    }

    @Override
    public boolean trainable() {
        return whole.trainable();
    }

    @Override
    public boolean readsInput() {
        return whole.readsInput();
    }

    @Override
    public void write(Weight weight) {
        whole.write(weight);
    }

    @Override
    public void merge(Weight weight) {
        whole.merge(weight);
    }
}
