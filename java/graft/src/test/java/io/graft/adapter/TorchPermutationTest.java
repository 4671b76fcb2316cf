package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

class TorchPermutationTest {
    /** torch.randperm(size, generator=torch.Generator().manual_seed(seed))[:8] of PyTorch 2.13. */
    @Test
    void isTorchs() {
        assertThat(TorchPermutation.first(8, 1000, 777L)).containsExactly(735, 819, 201, 799, 435, 497, 175, 590);
        assertThat(TorchPermutation.first(8, 4194304, 777L))
                .containsExactly(1374311, 4046277, 2572455, 2280976, 2203479, 2202733, 3765073, 56726);
        assertThat(TorchPermutation.first(8, 58720256, 12345678901L))
                .containsExactly(27042202, 57969042, 28691207, 40452100, 51374503, 46648641, 53473000, 58539000);
    }

    @Test
    void isAPermutation() {
        long[] all = TorchPermutation.first(2000, 2000, 5);
        Arrays.sort(all);
        for (int i = 0; i < all.length; i++) {
            assertThat(all[i]).isEqualTo(i);
        }
        assertThat(TorchPermutation.first(0, 10, 5)).isEmpty();
        assertThat(TorchPermutation.first(1, 1, 5)).containsExactly(0);
    }

    @Test
    void whatTorchDoesOtherwiseIsRefused() {
        assertThatThrownBy(() -> TorchPermutation.first(5, 214748364, 5))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("214748364");
    }
}
