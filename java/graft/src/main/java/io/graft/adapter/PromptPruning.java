package io.graft.adapter;

import io.graft.nn.Parameter;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/**
 * XPrompt (arXiv 2210.04457, section 3.2): half-way through training the virtual tokens that matter least become zero, then
 * the pieces of what is left that matter least; the rest is trained on from where it was. What a token or a piece e
 * matters is the mean of |g · e| over the last steps before, the derivative of the loss by a factor of it.
 */
final class PromptPruning {
    /** Pieces of a token, the paper's. */
    static final int PIECES = 16;

    private final PromptTuning.Pruning settings;
    private final Parameter rows;
    private final int tokens;
    private final int width;
    private final Tensor importance;
    private final Tensor mask;
    private final Tensor done;

    PromptPruning(Scope scope, Parameter rows, PromptTuning.Pruning settings) {
        this.settings = settings;
        this.rows = rows;
        tokens = (int) rows.value().size(0);
        width = (int) rows.value().size(1);
        importance = scope.tensor(Memory.OPTIMIZER, DType.F64, tokens, PIECES + 1);
        mask = scope.tensor(Memory.OPTIMIZER, DType.F32, tokens, width);
        done = scope.tensor(Memory.OPTIMIZER, DType.I64, 1);
        double[] ones = new double[tokens * width];
        Arrays.fill(ones, 1);
        mask.set(ones);
    }

    Map<String, Tensor> state() {
        Map<String, Tensor> state = new LinkedHashMap<>();
        state.put("importance", importance);
        state.put("mask", mask);
        state.put("steps", done);
        return state;
    }

    private long last() {
        return Math.max(1, settings.steps() / 2);
    }

    /** Sees gradients before a step, and takes those of what is pruned away. */
    void observe() {
        long step = done.longs()[0] + 1;
        if (step <= last() && step > last() - Math.max(1, settings.steps() / 10)) {
            double[] e = rows.master().doubles();
            double[] g = rows.gradient().doubles();
            double[] sums = importance.doubles();
            for (int i = 0; i < tokens; i++) {
                double whole = 0;
                for (int piece = 0; piece < PIECES; piece++) {
                    double part = 0;
                    for (int j = start(piece); j < start(piece + 1); j++) {
                        part += g[i * width + j] * e[i * width + j];
                    }
                    sums[i * (PIECES + 1) + piece] += Math.abs(part);
                    whole += part;
                }
                sums[i * (PIECES + 1) + PIECES] += Math.abs(whole);
            }
            importance.set(sums);
        }
        if (step > last()) {
            apply(rows.gradient());
        }
    }

    private int start(int piece) {
        return piece * width / PIECES;
    }

    /** Prunes when it is time, and keeps zero what is pruned. */
    void stepped(long step) {
        done.set(new long[] {step});
        if (step == last()) {
            choose();
        }
        if (step >= last()) {
            apply(rows.master());
        }
    }

    private void choose() {
        double[] sums = importance.doubles();
        int[] kept = strongest(
                IntStream.range(0, tokens).toArray(), settings.tokenShare(), i -> sums[i * (PIECES + 1) + PIECES]);
        int[] pieces = Arrays.stream(kept)
                .flatMap(token -> IntStream.range(0, PIECES).map(piece -> token * PIECES + piece))
                .toArray();
        double[] ones = new double[tokens * width];
        for (int piece : strongest(pieces, settings.pieceShare(), i -> sums[i / PIECES * (PIECES + 1) + i % PIECES])) {
            int row = piece / PIECES * width;
            Arrays.fill(ones, row + start(piece % PIECES), row + start(piece % PIECES + 1), 1);
        }
        mask.set(ones);
    }

    private static int[] strongest(int[] all, double share, IntToDoubleFunction score) {
        int count = (int) Math.ceil(share * all.length);
        return Arrays.stream(all)
                .boxed()
                .sorted((one, two) -> Double.compare(score.applyAsDouble(two), score.applyAsDouble(one)))
                .limit(count)
                .mapToInt(Integer::intValue)
                .toArray();
    }

    private void apply(Tensor tensor) {
        double[] values = tensor.doubles();
        double[] factors = mask.doubles();
        for (int i = 0; i < values.length; i++) {
            values[i] *= factors[i];
        }
        tensor.set(values);
    }
}
