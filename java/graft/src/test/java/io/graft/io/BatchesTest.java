package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class BatchesTest {
    private TextDataset dataset;

    @BeforeEach
    void makeDataset() {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 40; i++) {
            text.append("int x").append(i).append(";\n");
        }
        try (Tokenizer tokenizer = Tokenizer.load(Fixtures.path("models/llama_tied"))) {
            dataset = TextDataset.builder(tokenizer, 8).addText(text.toString()).build();
        }
    }

    @Test
    void anEpochGivesEveryBlockOnceInANewOrder() {
        Batches batches = new Batches(dataset, 1, 7, true);
        List<List<Integer>> epochs = new ArrayList<>();
        for (int epoch = 0; epoch < 2; epoch++) {
            assertThat(batches.epoch()).isEqualTo(epoch);
            List<List<Integer>> blocks = take(batches, dataset.blocks());
            assertThat(blocks).containsExactlyInAnyOrderElementsOf(take(new Batches(dataset, 1, 0, false), dataset.blocks()));
            epochs.add(blocks.stream().map(List::hashCode).toList());
        }
        assertThat(epochs.get(0)).isNotEqualTo(epochs.get(1));
    }

    @Test
    void seedDecidesTheOrder() {
        List<List<Integer>> one = take(new Batches(dataset, 2, 1, true), 5);
        assertThat(take(new Batches(dataset, 2, 1, true), 5)).isEqualTo(one);
        assertThat(take(new Batches(dataset, 2, 2, true), 5)).isNotEqualTo(one);
    }

    @Test
    void batchesGoOnFromASavedPosition() {
        Batches whole = new Batches(dataset, 3, 5, true);
        for (int taken = 0; taken < dataset.blocks(); taken++) {
            Batches resumed = new Batches(dataset, 3, 5, true);
            resumed.seek(whole.position());
            assertThat(take(resumed, 2)).isEqualTo(take(whole, 2));
            whole.seek(resumed.position() - 3);
        }
    }

    @Test
    void wrongSizesAreRefused() {
        Batches batches = new Batches(dataset, 2, 1, true);
        assertThatThrownBy(() -> batches.next(new int[16], new int[15]))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("a batch takes 16");
        assertThatThrownBy(() -> batches.seek(-1)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Batches(dataset, 0, 1, true)).isInstanceOf(IllegalArgumentException.class);
    }

    private static List<List<Integer>> take(Batches batches, int count) {
        List<List<Integer>> taken = new ArrayList<>();
        int[] ids = new int[batches.batchSize() * batches.dataset().blockLength()];
        int[] labels = new int[ids.length];
        for (int i = 0; i < count; i++) {
            batches.next(ids, labels);
            List<Integer> batch = new ArrayList<>();
            for (int j = 0; j < ids.length; j++) {
                Collections.addAll(batch, ids[j], labels[j]);
            }
            taken.add(batch);
        }
        return taken;
    }
}
