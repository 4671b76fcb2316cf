package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.model.Batch;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ExampleBatchesTest {
    private static List<Example> examples(int count) {
        List<Example> examples = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int[] ids = new int[3 + i];
            java.util.Arrays.fill(ids, i);
            examples.add(Example.of(ids));
        }
        return examples;
    }

    @Test
    void anEpochSeesEachExampleOnce() {
        ExampleBatches source = new ExampleBatches(examples(6), 2, 64, 1, 7);
        Batch batch = new Batch();
        List<Integer> seen = new ArrayList<>();
        for (int i = 0; i < source.batchesPerEpoch(); i++) {
            source.next(batch);
            seen.add(batch.ids()[0]);
            seen.add(batch.ids()[batch.length()]);
        }
        assertThat(seen).containsExactlyInAnyOrder(0, 1, 2, 3, 4, 5);
    }

    @Test
    void rowsArePaddedOnTheRightToAMultiple() {
        ExampleBatches source = new ExampleBatches(examples(2), 2, 64, 8, 7);
        Batch batch = new Batch();
        source.next(batch);
        assertThat(batch.length()).isEqualTo(8);
        assertThat(batch.lengths()).containsExactlyInAnyOrder(3, 4);
        assertThat(batch.labels()[7]).isEqualTo(Batch.IGNORED);
    }

    @Test
    void longRowsAreCut() {
        ExampleBatches source = new ExampleBatches(examples(9), 9, 6, 4, 7);
        Batch batch = new Batch();
        source.next(batch);
        assertThat(batch.length()).isEqualTo(6);
        assertThat(batch.lengths()).containsOnly(3, 4, 5, 6);
    }

    @Test
    void seekingGoesOnWhereAnotherStopped() {
        ExampleBatches first = new ExampleBatches(examples(5), 2, 64, 1, 7);
        Batch expected = new Batch();
        for (int i = 0; i < 4; i++) {
            first.next(expected);
        }
        ExampleBatches second = new ExampleBatches(examples(5), 2, 64, 1, 7);
        second.seek(3);
        Batch actual = new Batch();
        second.next(actual);
        assertThat(actual.ids()).isEqualTo(expected.ids());
        assertThat(second.position()).isEqualTo(4);
    }
}
