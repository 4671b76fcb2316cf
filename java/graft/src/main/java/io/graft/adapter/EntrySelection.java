package io.graft.adapter;

import io.graft.io.Checkpoint;
import io.graft.io.PeftShiraConfig;
import io.graft.nn.Projection;
import io.graft.ops.Sparse;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * How a fresh {@link Shira} adapter chooses the entries of a projection's weight that it trains. Each projection gets its
 * share; they do not compete with each other.
 *
 * @param name what {@code mask_type} in the adapter's configuration says
 * @param needs what must be gathered over some examples before
 * @param chooser fills the indices
 */
public record EntrySelection(String name, Needs needs, Chooser chooser) {
    /** What {@link Shira#calibrate} gathers of the whole gradients of the targeted weights. */
    public enum Needs {
        NOTHING,
        /** Their sum over the examples. */
        GRADIENTS,
        /** The sum of their squares. */
        SQUARES,
        BOTH
    }

    /** What was gathered of a projection [out, in]: the sums of the gradients and of their squares, each where needed. */
    public record Gathered(Tensor gradients, Tensor squares) {}

    /** Fills indices [2, nnz] i32 with entries in ascending order; gathered: null where nothing is needed. */
    @FunctionalInterface
    public interface Chooser {
        void choose(Projection projection, Gathered gathered, Tensor indices);
    }

    /** By chance, each projection its own, from the seed and the module's name (SHiRA-Rand). */
    public static EntrySelection random(long seed) {
        return new EntrySelection(PeftShiraConfig.RANDOM, Needs.NOTHING, (projection, gathered, indices) -> {
            long all = projection.weight().matrix().elements();
            set(projection, draw(ModuleRandom.of(seed, projection.module()), all, indices.size(1)), indices);
        });
    }

    /** The largest |w| (SHiRA-WM). */
    public static EntrySelection magnitude() {
        return magnitude("magnitude", true);
    }

    /** The smallest |w|, as PaFi does (arXiv 2305.16742): the same for all tasks. */
    public static EntrySelection smallest() {
        return magnitude("smallest", false);
    }

    private static EntrySelection magnitude(String name, boolean largest) {
        return new EntrySelection(name, Needs.NOTHING, (projection, gathered, indices) -> {
            Tensor w = projection.weight().matrix();
            Sparse.select(w.scope().context(), Sparse.Score.ABSOLUTE, w, null, largest, indices);
        });
    }

    /** The largest |Σ g| over some examples (SHiRA-Grad). */
    public static EntrySelection gradient() {
        return new EntrySelection(
                "gradient", Needs.GRADIENTS, (projection, gathered, indices) -> largest(gathered.gradients(), indices));
    }

    /** The largest Σ g² over some examples, the diagonal of the empirical Fisher information (FishMask, section 3). */
    public static EntrySelection fisher() {
        return new EntrySelection(
                "fisher", Needs.SQUARES, (projection, gathered, indices) -> largest(gathered.squares(), indices));
    }

    /**
     * The largest (Σ g)² / (Σ g² + δ): what a Newton step along an entry would gain, up to a factor, with the diagonal of the
     * Hessian estimated by squared gradients (SAM, arXiv 2211.15583, section 4). δ is the mean of Σ g² over the matrix, so that
     * entries that hardly matter do not win by a small denominator. The score takes the place of the sums of gradients.
     */
    public static EntrySelection secondOrder() {
        return new EntrySelection("second_order", Needs.BOTH, (projection, gathered, indices) -> {
            score(gathered);
            largest(gathered.gradients(), indices);
        });
    }

    /** By rows: the sums of gradients become the score of {@link #secondOrder}. */
    private static void score(Gathered gathered) {
        Tensor sums = gathered.gradients();
        long[] line = {1, sums.size(1)};
        try (Scope scope = sums.scope().context().scope()) {
            double total = 0;
            for (long i = 0; i < sums.size(0); i++) {
                for (double square : scope.view(gathered.squares(), i * sums.size(1), line, sums.strides())
                        .doubles()) {
                    total += square;
                }
            }
            double damping = total / sums.elements();
            for (long i = 0; i < sums.size(0); i++) {
                Tensor row = scope.view(sums, i * sums.size(1), line, sums.strides());
                double[] gain = row.doubles();
                double[] squares = scope.view(gathered.squares(), i * sums.size(1), line, sums.strides())
                        .doubles();
                for (int j = 0; j < gain.length; j++) {
                    gain[j] = gain[j] == 0 ? 0 : gain[j] * gain[j] / (squares[j] + damping);
                }
                row.set(gain);
            }
        }
    }

    private static void largest(Tensor sums, Tensor indices) {
        Sparse.select(sums.scope().context(), Sparse.Score.ABSOLUTE, sums, null, true, indices);
    }

    /** The largest |w · Σ g| over some examples (SHiRA-SNIP, after arXiv 1810.02340). */
    public static EntrySelection snip() {
        return new EntrySelection("snip", Needs.GRADIENTS, (projection, gathered, indices) -> {
            Tensor w = projection.weight().matrix();
            Sparse.select(w.scope().context(), Sparse.Score.PRODUCT, w, gathered.gradients(), true, indices);
        });
    }

    /**
     * The entries that another training of the same model changed most, as LT-SFT does after full fine-tuning (arXiv
     * 2110.07560, section 3). One matrix at a time is read.
     *
     * @param trained the folder of the trained model
     */
    public static EntrySelection change(Path trained) {
        return new EntrySelection("change", Needs.NOTHING, (projection, gathered, indices) -> {
            Tensor w = projection.weight().matrix();
            Context context = w.scope().context();
            try (Scope scope = context.scope();
                    Checkpoint checkpoint = Checkpoint.open(trained)) {
                Tensor after = scope.tensor(Memory.WORKSPACE, DType.F32, w.shape());
                checkpoint.read(projection.name(), after);
                Sparse.select(context, Sparse.Score.DIFFERENCE, after, w, true, indices);
            }
        });
    }

    /** These entries, by module: each {@code row · in + column}, in ascending order. */
    public static EntrySelection given(Map<String, long[]> entries) {
        Map<String, long[]> copy = Map.copyOf(entries);
        return new EntrySelection("given", Needs.NOTHING, (projection, gathered, indices) -> {
            long[] chosen = copy.get(projection.module());
            long count = indices.size(1);
            if (chosen == null || chosen.length != count) {
                throw new IllegalArgumentException("Shira: " + (chosen == null ? 0 : chosen.length)
                        + " entries are given for " + projection.module() + ", expected " + count);
            }
            set(projection, chosen, indices);
        });
    }

    private static void set(Projection projection, long[] entries, Tensor indices) {
        long columns = projection.weight().k();
        int count = entries.length;
        int[] values = new int[2 * count];
        for (int p = 0; p < count; p++) {
            values[p] = Math.toIntExact(entries[p] / columns);
            values[count + p] = (int) (entries[p] % columns);
        }
        indices.set(values);
    }

    /** count of 0 … from - 1, in ascending order. */
    private static long[] draw(SplittableRandom random, long from, long count) {
        boolean leftOut = count > from / 2;
        int draws = Math.toIntExact(leftOut ? from - count : count);
        int size = Math.toIntExact(from);
        BitSet drawn = new BitSet(size);
        for (int i = 0; i < draws; i++) {
            int entry = random.nextInt(size);
            while (drawn.get(entry)) {
                entry = random.nextInt(size);
            }
            drawn.set(entry);
        }
        if (leftOut) {
            drawn.flip(0, size);
        }
        return drawn.stream().asLongStream().toArray();
    }
}
