package io.graft.adapter;

import io.graft.io.PeftAdaLoraConfig;
import io.graft.nn.Parameter;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.OnHost;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Gives up triplets (a row of A, a singular value, a column of B) as AdaLoRA does (arXiv 2303.10512, section 3.3, in
 * PEFT's form): an element's sensitivity is |p · dp|; its score, the product of the running means of sensitivity and of
 * its uncertainty; a triplet's, that of its singular value and the means over its two vectors. The triplets that do not
 * fit a budget, which falls with the cube of the time left, get the singular value 0 and are tried again until the last
 * cut.
 */
final class RankAllocator {
    private static final int BLOCK = 2048;

    /** One element's history for all elements of a parameter, fp32. */
    private static final class History {
        final Parameter parameter;
        final Tensor sensitivity;
        final Tensor uncertainty;

        History(Scope scope, Parameter parameter) {
            this.parameter = parameter;
            this.sensitivity =
                    scope.tensor(Memory.OPTIMIZER, DType.F32, parameter.value().shape());
            this.uncertainty =
                    scope.tensor(Memory.OPTIMIZER, DType.F32, parameter.value().shape());
        }

        /** By blocks in arrays. why: the compiler makes vectors of loops over arrays, not over buffers. */
        void update(float beta1, float beta2, float[][] blocks) {
            requireF32(parameter.master());
            try (OnHost p = OnHost.reading(parameter.master());
                    OnHost g = OnHost.reading(parameter.gradient());
                    OnHost means = OnHost.updating(sensitivity);
                    OnHost spreads = OnHost.updating(uncertainty)) {
                update(p.floats(), g.floats(), means.floats(), spreads.floats(), beta1, beta2, blocks);
            }
        }

        private static void update(
                FloatBuffer p,
                FloatBuffer g,
                FloatBuffer means,
                FloatBuffer spreads,
                float beta1,
                float beta2,
                float[][] blocks) {
            float[] now = blocks[0];
            float[] gradient = blocks[1];
            float[] mean = blocks[2];
            float[] spread = blocks[3];
            for (int first = 0; first < p.limit(); first += BLOCK) {
                int count = Math.min(BLOCK, p.limit() - first);
                p.get(first, now, 0, count);
                g.get(first, gradient, 0, count);
                means.get(first, mean, 0, count);
                spreads.get(first, spread, 0, count);
                for (int i = 0; i < count; i++) {
                    float sensitive = Math.abs(now[i] * gradient[i]);
                    mean[i] = beta1 * mean[i] + (1 - beta1) * sensitive;
                    spread[i] = beta2 * spread[i] + (1 - beta2) * Math.abs(sensitive - mean[i]);
                }
                means.put(first, mean, 0, count);
                spreads.put(first, spread, 0, count);
            }
        }

        /** Of each element. */
        float[] scores() {
            float[] scores = sensitivity.floats();
            float[] spread = uncertainty.floats();
            for (int i = 0; i < scores.length; i++) {
                scores[i] *= spread[i];
            }
            return scores;
        }

        /** Adds to each triplet's score the mean over its vector, in rows or columns. */
        void addMeans(float[] scores, boolean inRows) {
            float[] own = scores();
            int rank = scores.length;
            int length = own.length / rank;
            for (int i = 0; i < rank; i++) {
                double sum = 0;
                for (int j = 0; j < length; j++) {
                    int at = inRows ? i * length + j : j * rank + i;
                    sum += own[at];
                }
                scores[i] += (float) (sum / length);
            }
        }
    }

    /** The triplets of one module, and 1 for each that is left, 0 for each given up. */
    private record Triplets(String module, History a, History b, History values, Tensor left) {
        int count() {
            return (int) left.elements();
        }
    }

    private final PeftAdaLoraConfig config;
    private final List<Triplets> modules = new ArrayList<>();
    private final float[][] blocks = new float[4][BLOCK];
    private int triplets;

    RankAllocator(PeftAdaLoraConfig config) {
        this.config = config;
    }

    void add(Scope scope, String module, Parameter a, Parameter b, Parameter values) {
        Tensor left = scope.tensor(Memory.OPTIMIZER, DType.I32, values.value().elements());
        TensorOps.fill(scope.context(), 1, left);
        modules.add(
                new Triplets(module, new History(scope, a), new History(scope, b), new History(scope, values), left));
        triplets += (int) left.elements();
    }

    /** Triplets that a step may have. */
    int budget(long step) {
        PeftAdaLoraConfig.Schedule schedule = config.schedule();
        int target = config.targetRank() * modules.size();
        if (step <= schedule.initial()) {
            return triplets;
        }
        long end = schedule.total() - schedule.last();
        if (step >= end) {
            return target;
        }
        double remaining = 1 - (step - schedule.initial()) / (double) (end - schedule.initial());
        return (int) ((triplets - target) * (remaining * remaining * remaining) + target);
    }

    /** To be called after each optimiser step. */
    void stepped(long step) {
        PeftAdaLoraConfig.Schedule schedule = config.schedule();
        long end = schedule.total() - schedule.last();
        if (step < end) {
            for (Triplets module : modules) {
                for (History history : List.of(module.a(), module.b(), module.values())) {
                    history.update((float) config.beta1(), (float) config.beta2(), blocks);
                }
            }
        }
        if (step == end || step < end && step > schedule.initial() && step % schedule.interval() == 0) {
            cut(triplets - budget(step));
        } else if (step > end) {
            clear();
        }
    }

    /** Gives up so many triplets of the lowest scores, and all that are as low as the last of them. */
    private void cut(int count) {
        if (count <= 0) {
            return;
        }
        float[] scores = new float[triplets];
        int filled = 0;
        for (Triplets module : modules) {
            float[] own = module.values().scores();
            module.a().addMeans(own, true);
            module.b().addMeans(own, false);
            System.arraycopy(own, 0, scores, filled, own.length);
            filled += own.length;
        }
        float[] sorted = scores.clone();
        Arrays.sort(sorted);
        int at = 0;
        for (Triplets module : modules) {
            int[] left = new int[module.count()];
            for (int i = 0; i < left.length; i++) {
                left[i] = scores[at++] > sorted[count - 1] ? 1 : 0;
            }
            module.left().set(left);
        }
        clear();
    }

    private void clear() {
        for (Triplets module : modules) {
            int[] left = module.left().ints();
            try (OnHost values = OnHost.updating(module.values().parameter.master())) {
                FloatBuffer floats = values.floats();
                for (int i = 0; i < left.length; i++) {
                    if (left[i] == 0) {
                        floats.put(i, 0);
                    }
                }
            }
        }
    }

    /** Which triplets are left, of the modules that have given some up. */
    Map<String, boolean[]> left() {
        Map<String, boolean[]> left = new LinkedHashMap<>();
        for (Triplets module : modules) {
            int[] flags = module.left().ints();
            boolean[] kept = new boolean[flags.length];
            int count = 0;
            for (int i = 0; i < flags.length; i++) {
                kept[i] = flags[i] != 0;
                count += flags[i];
            }
            if (count < flags.length) {
                left.put(module.module(), kept);
            }
        }
        return left;
    }

    /** All that is kept from step to step, by name. */
    Map<String, Tensor> state() {
        Map<String, Tensor> state = new LinkedHashMap<>();
        for (Triplets module : modules) {
            state.put("left/" + module.module(), module.left());
            for (History history : List.of(module.a(), module.b(), module.values())) {
                state.put("sensitivity/" + history.parameter.name(), history.sensitivity);
                state.put("uncertainty/" + history.parameter.name(), history.uncertainty);
            }
        }
        return state;
    }

    private static void requireF32(Tensor tensor) {
        if (tensor.dtype() != DType.F32) {
            throw new UnsupportedOperationException("AdaLoRA gives up ranks of fp32 masters, not " + tensor.dtype());
        }
    }
}
