package io.graft.adapter;

import io.graft.nn.Parameter;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Gives up the numbers of an adapter that matter least, or whole parameters, and keeps them at zero. What a number matters is
 * |p · dp|, how much the loss would change to first order if it were zero, added up over the steps since the last cut.
 */
final class ElementPruner {
    /**
     * @param share of all numbers that is left in the end
     * @param cuts from all to that share in equal ratios, spread over the first half of the steps; 0: one cut, by the gradients
     *     of the first step and before it is made
     * @param whole whether parameters are given up whole
     */
    record Plan(double share, int cuts, boolean whole) {
        Plan {
            if (!(share > 0 && share <= 1)) {
                throw new IllegalArgumentException("the share that is kept is " + share + ", must be in (0, 1]");
            }
        }
    }

    /** A parameter, what its numbers mattered since the last cut, and 1 for each that is left, 0 for the others. */
    private record Part(Parameter parameter, Tensor importance, Tensor left) {}

    private final Plan plan;
    private final List<Part> parts = new ArrayList<>();
    private long steps = Long.MAX_VALUE;
    private long done;

    ElementPruner(Plan plan) {
        this.plan = plan;
    }

    void add(Scope scope, Parameter parameter) {
        long[] shape = parameter.value().shape();
        Tensor left = scope.tensor(Memory.OPTIMIZER, DType.F32, shape);
        float[] ones = new float[(int) left.elements()];
        Arrays.fill(ones, 1);
        parts.add(new Part(parameter, scope.tensor(Memory.OPTIMIZER, DType.F32, shape), left.set(ones)));
    }

    void starting(long total) {
        steps = total;
    }

    /** Sees the gradients before a step is made, and takes those of what is given up. */
    void observe() {
        long step = done + 1;
        if (step <= lastCut()) {
            parts.forEach(ElementPruner::gather);
            for (int cut = 1; cut <= Math.max(1, plan.cuts()); cut++) {
                if (step == cutStep(cut)) {
                    cut(Math.pow(plan.share(), (double) cut / Math.max(1, plan.cuts())));
                }
            }
        }
        parts.forEach(part -> mask(part, part.parameter().gradient()));
    }

    private long lastCut() {
        return cutStep(Math.max(1, plan.cuts()));
    }

    private long cutStep(int cut) {
        if (plan.cuts() == 0) {
            return 1;
        }
        return steps == Long.MAX_VALUE ? steps : Math.max(cut, steps / 2 * cut / plan.cuts());
    }

    void stepped(long step) {
        done = step;
        for (Part part : parts) {
            mask(part, part.parameter().master());
            part.parameter().refreshValue();
        }
    }

    void restored(long step) {
        done = step;
    }

    private static void gather(Part part) {
        float[] p = part.parameter().master().floats();
        float[] g = part.parameter().gradient().floats();
        float[] sums = part.importance().floats();
        for (int i = 0; i < sums.length; i++) {
            sums[i] += Math.abs(p[i] * g[i]);
        }
        part.importance().set(sums);
    }

    private static void mask(Part part, Tensor tensor) {
        float[] left = part.left().floats();
        double[] values = tensor.doubles();
        boolean changed = false;
        for (int i = 0; i < left.length; i++) {
            if (left[i] == 0 && values[i] != 0) {
                values[i] = 0;
                changed = true;
            }
        }
        if (changed) {
            tensor.set(values);
        }
    }

    private void cut(double share) {
        List<float[]> scores = new ArrayList<>();
        for (Part part : parts) {
            float[] score = part.importance().floats();
            float[] left = part.left().floats();
            for (int i = 0; i < score.length; i++) {
                score[i] = left[i] == 0 ? -1 : score[i];
            }
            scores.add(plan.whole() ? new float[] {sum(score)} : score);
        }
        List<boolean[]> kept = strongest(scores, share);
        for (int i = 0; i < parts.size(); i++) {
            boolean[] flags = kept.get(i);
            float[] left = new float[(int) parts.get(i).left().elements()];
            for (int j = 0; j < left.length; j++) {
                left[j] = flags[plan.whole() ? 0 : j] ? 1 : 0;
            }
            parts.get(i).left().set(left);
            parts.get(i).importance().set(new float[left.length]);
        }
    }

    private static float sum(float[] values) {
        double sum = 0;
        for (float value : values) {
            sum += value;
        }
        return (float) sum;
    }

    /** The share of all scores that is largest; of equal ones the first. */
    static List<boolean[]> strongest(List<float[]> scores, double share) {
        int total = scores.stream().mapToInt(score -> score.length).sum();
        float[] all = new float[total];
        int at = 0;
        for (float[] score : scores) {
            System.arraycopy(score, 0, all, at, score.length);
            at += score.length;
        }
        Arrays.sort(all);
        int count = (int) Math.ceil(share * total);
        float least = all[total - count];
        int above = 0;
        for (float score : all) {
            above += score > least ? 1 : 0;
        }
        int equal = count - above;
        List<boolean[]> kept = new ArrayList<>();
        for (float[] score : scores) {
            boolean[] flags = new boolean[score.length];
            for (int i = 0; i < score.length; i++) {
                flags[i] = score[i] > least || score[i] == least && equal-- > 0;
            }
            kept.add(flags);
        }
        return kept;
    }

    /** How many numbers are left. */
    long left() {
        return parts.stream()
                .mapToLong(part -> {
                    long count = 0;
                    for (float flag : part.left().floats()) {
                        count += flag == 0 ? 0 : 1;
                    }
                    return count;
                })
                .sum();
    }

    Map<String, Tensor> state() {
        Map<String, Tensor> state = new LinkedHashMap<>();
        for (Part part : parts) {
            state.put("importance/" + part.parameter().name(), part.importance());
            state.put("left/" + part.parameter().name(), part.left());
        }
        return state;
    }
}
