package io.graft.adapter;

import io.graft.io.PeftPacaConfig;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.PartialColumns;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.train.AdamW;
import io.graft.train.BatchSource;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

/** Small models with PaCA, some batches to train them on, and what to look at. */
final class PacaModels {
    static final String[] ALL = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};

    private PacaModels() {}

    static PeftPacaConfig config(int rank, String... targets) {
        return PeftPacaConfig.builder()
                .rank(rank)
                .alpha(2.0 * rank)
                .randomSeed(3)
                .targets(targets)
                .build();
    }

    static Llama model(Scope scope, DType dtype, Adapter adapter) {
        return Golden.load(scope, "llama_gqa", dtype, Llama.Options.training(adapter));
    }

    static Batch batch(int rows) {
        int[] ids = new int[rows * 7];
        for (int i = 0; i < ids.length; i++) {
            ids[i] = (i * 37 + 11) % 120;
        }
        return Batch.of(rows, 7, ids, null);
    }

    /** Batches of so many rows, no two alike. */
    static BatchSource source(int rows) {
        return new BatchSource() {
            private long position;

            @Override
            public void next(Batch into) {
                into.resize(rows, 7);
                for (int i = 0; i < rows * 7; i++) {
                    into.ids()[i] = (int) ((position * rows * 7 + i) * 37 % 119);
                    into.labels()[i] = into.ids()[i];
                }
                for (int row = 0; row < rows; row++) {
                    into.lengths()[row] = 7;
                }
                position++;
            }

            @Override
            public long position() {
                return position;
            }

            @Override
            public void seek(long to) {
                position = to;
            }
        };
    }

    static Trainer trainer(Llama model, long steps) {
        return new Trainer(
                model,
                Trainer.Options.of(steps, 0.01)
                        .withOptimiser(AdamW.Settings.defaults().withWeightDecay(0)),
                source(2));
    }

    static void train(Llama model, long steps) {
        try (Trainer trainer = trainer(model, steps)) {
            trainer.run();
        }
    }

    /**
     * Trains to a step.
     *
     * @param from a checkpoint to begin with, or null
     * @param to where one is left, or null
     */
    static void train(Trainer trainer, long steps, Path from, Path to) {
        if (from != null) {
            trainer.resume(from);
        }
        while (trainer.steps() < steps) {
            trainer.step();
        }
        if (to != null) {
            trainer.save(to);
        }
    }

    static List<float[]> weights(Llama model) {
        List<float[]> all = new ArrayList<>();
        for (Projection projection : model.projections()) {
            all.add(projection.weight().matrix().floats());
        }
        return all;
    }

    static long[] columns(Projection projection) {
        return ((PartialColumns) projection.attachment()).indices().longs();
    }

    /** The columns of a matrix that differ, in ascending order. */
    static long[] changed(float[] before, float[] after, int columns) {
        TreeSet<Long> different = new TreeSet<>();
        for (int i = 0; i < before.length; i++) {
            if (before[i] != after[i]) {
                different.add((long) i % columns);
            }
        }
        return different.stream().mapToLong(Long::longValue).toArray();
    }
}
