package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.IntBuffer;
import org.junit.jupiter.api.Test;

class BatchTest {
    private static final int[] IDS = {5, 6, 7, 8, 9, 0};

    @Test
    void theMaskGivesTheLengths() {
        Batch batch = Batch.of(2, 3, IDS, new int[] {1, 1, 1, 1, 1, 0}, new int[] {5, 6, 7, 8, 9, -100});
        assertThat(batch.lengths()).containsExactly(3, 2);
        assertThat(batch.tokens()).isEqualTo(5);
        assertThat(batch.targets()).isEqualTo(3);
    }

    @Test
    void paddingOnTheLeftIsRefused() {
        assertThatThrownBy(() -> Batch.of(2, 3, IDS, new int[] {0, 1, 1, 1, 1, 1}, null))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("attention_mask, row 0")
                .hasMessageContaining("right");
    }

    @Test
    void labelsMoveToThePositionThatPredictsThem() {
        int[] shifted = new int[6];
        Batch.of(2, 3, IDS, null).shiftLabels(0, IntBuffer.wrap(shifted));
        assertThat(shifted).containsExactly(6, 7, -100, 9, 0, -100);
    }

    @Test
    void nothingPredictsTheFirstTokenOfASequence() {
        Batch batch = Batch.of(2, 3, IDS, null);
        System.arraycopy(new int[] {0, 1, 1, 0, 0, 2}, 0, batch.pack(), 0, 6);
        int[] shifted = new int[6];
        batch.shiftLabels(0, IntBuffer.wrap(shifted));
        assertThat(shifted).containsExactly(-100, 7, -100, 9, -100, -100);
        assertThat(batch.targets()).isEqualTo(2);
        Batch row = new Batch();
        row.takeRow(batch, 1);
        assertThat(row.starts()).containsExactly(0, 0, 2);
    }

    @Test
    void theLastVirtualTokenPredictsTheFirstToken() {
        Batch batch = Batch.of(2, 3, IDS, new int[] {5, 6, 7, -100, 9, 0});
        int[] shifted = new int[10];
        batch.shiftLabels(2, IntBuffer.wrap(shifted));
        assertThat(shifted).containsExactly(-100, 5, 6, 7, -100, -100, -100, 9, 0, -100);
        assertThat(batch.targets(2)).isEqualTo(5);
        assertThat(batch.targets(0)).isEqualTo(4);
    }

    @Test
    void resizingKeepsArraysThatFit() {
        int[] ids = IDS.clone();
        Batch batch = Batch.of(2, 3, ids, null);
        batch.resize(3, 2);
        assertThat(batch.ids()).isSameAs(ids).containsOnly(0);
        assertThat(batch.labels()).containsOnly(Batch.IGNORED);
        assertThat(batch.lengths()).containsExactly(2, 2, 2);
    }

    @Test
    void aWrongNumberOfElementsIsRefused() {
        assertThatThrownBy(() -> Batch.of(2, 2, IDS, null)).hasMessageContaining("ids has 6 elements, expected 4");
    }
}
