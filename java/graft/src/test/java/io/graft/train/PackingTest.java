package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.model.Batch;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class PackingTest {
    private static Example example(int length, int token) {
        return Example.of(IntStream.generate(() -> token).limit(length).toArray());
    }

    @Test
    void anExampleGoesIntoTheFullestRowThatHasRoom() {
        List<Example> rows = Packing.rows(
                List.of(example(5, 1), example(6, 2), example(2, 3), example(3, 4), example(1, 5), example(8, 6)), 8);
        assertThat(rows).hasSize(4);
        assertThat(rows.get(0).ids()).containsExactly(1, 1, 1, 1, 1, 4, 4, 4);
        assertThat(rows.get(0).starts()).containsExactly(0, 0, 0, 0, 0, 5, 5, 5);
        assertThat(rows.get(1).ids()).containsExactly(2, 2, 2, 2, 2, 2, 3, 3);
        assertThat(rows.get(2).ids()).containsExactly(5);
    }

    @Test
    void rowsHaveOneAdapter() {
        List<Example> rows = Packing.rows(
                List.of(
                        example(2, 1).withAdapter("a"),
                        example(2, 2).withAdapter("b"),
                        example(2, 3).withAdapter("a")),
                8);
        assertThat(rows).extracting(Example::adapter).containsExactly("a", "b");
        assertThat(rows.get(0).ids()).containsExactly(1, 1, 3, 3);
    }

    @Test
    void whatARowCannotHoldIsRefused() {
        assertThatThrownBy(() -> Packing.rows(List.of(example(9, 1)), 8)).hasMessageContaining("9 tokens", "8");
        List<Example> packed = Packing.rows(List.of(example(2, 1)), 8);
        assertThatThrownBy(() -> Packing.rows(packed, 8)).hasMessageContaining("is packed");
    }

    @Test
    void aBatchHasTheStartsOfItsRows() {
        List<Example> rows = Packing.rows(List.of(example(3, 1), example(2, 2), example(4, 3)), 5);
        Batch batch = new Batch();
        batch.resize(3, 6);
        rows.get(0).fill(batch, 0);
        rows.get(1).fill(batch, 1);
        example(6, 7).fill(batch, 2);
        assertThat(batch.starts()).containsExactly(0, 0, 0, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        assertThat(batch.lengths()).containsExactly(5, 4, 6);
        assertThat(batch.targets()).isEqualTo(2 + 1 + 3 + 5);
        batch.resize(3, 6);
        assertThat(batch.starts()).isNull();
    }
}
