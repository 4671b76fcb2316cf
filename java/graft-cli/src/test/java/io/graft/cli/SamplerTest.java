package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class SamplerTest {
    private static final float[] LOGITS = {0f, 3f, 2f, -1f};

    @Test
    void temperatureZeroTakesTheBest() {
        assertThat(new Sampler(0, 0, 1, 1).choose(LOGITS)).isEqualTo(1);
    }

    @Test
    void sameSeedSameChoices() {
        Sampler one = new Sampler(1, 0, 1, 7);
        Sampler two = new Sampler(1, 0, 1, 7);
        for (int i = 0; i < 50; i++) {
            assertThat(one.choose(LOGITS)).isEqualTo(two.choose(LOGITS));
        }
    }

    @Test
    void topKAndTopPBoundTheChoice() {
        assertThat(choices(new Sampler(2, 2, 1, 1))).containsExactlyInAnyOrder(1, 2);
        assertThat(choices(new Sampler(1, 0, 0.5, 1))).containsExactly(1);
        assertThat(choices(new Sampler(5, 0, 1, 1))).containsExactlyInAnyOrder(0, 1, 2, 3);
    }

    @Test
    void frequenciesFollowTheSoftmax() {
        Sampler sampler = new Sampler(1, 2, 1, 3);
        int best = 0;
        for (int i = 0; i < 20_000; i++) {
            best += sampler.choose(LOGITS) == 1 ? 1 : 0;
        }
        assertThat(best / 20_000.0).isBetween(0.72, 0.74);
    }

    private static Set<Integer> choices(Sampler sampler) {
        Set<Integer> seen = new HashSet<>();
        for (int i = 0; i < 2000; i++) {
            seen.add(sampler.choose(LOGITS));
        }
        return seen;
    }
}
