package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.graft.io.Fixtures;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What tokens are drawn from, against transformers, and how they are drawn. */
class SamplerTest {
    static List<JsonNode> cases() throws IOException {
        List<JsonNode> cases = new ArrayList<>();
        new ObjectMapper()
                .readTree(Fixtures.path("cases/sampling.json").toFile())
                .forEach(cases::add);
        return cases;
    }

    @ParameterizedTest
    @MethodSource("cases")
    void probabilitiesAreThoseOfTransformers(JsonNode golden) {
        JsonNode given = golden.get("settings");
        Sampling sampling = new Sampling(
                given.path("temperature").asDouble(1),
                given.path("top_k").asInt(0),
                given.path("top_p").asDouble(1),
                given.path("min_p").asDouble(0),
                given.path("repetition_penalty").asDouble(1),
                0);
        Sampler sampler = new Sampler(sampling);
        sampler.saw(ints(golden.get("history")));
        assertThat(sampler.probabilities(floats(golden.get("logits"))))
                .as(given.toString())
                .containsExactly(doubles(golden.get("probabilities")), Offset.offset(1e-6));
    }

    @Test
    void drawsComeAsOftenAsTheyAreLikely() {
        float[] logits = {0, 1, -2, 0.5f, Float.NEGATIVE_INFINITY, 1};
        Sampler sampler = new Sampler(new Sampling(0.8, 0, 1, 3));
        double[] expected = sampler.probabilities(logits);
        int draws = 200_000;
        double[] found = new double[logits.length];
        for (int i = 0; i < draws; i++) {
            found[sampler.next(logits)] += 1.0 / draws;
        }
        assertThat(found).containsExactly(expected, Offset.offset(0.005));
        assertThat(found[4]).isZero();
    }

    @Test
    void oneSeedDrawsTheSameTokens() {
        Sampling sampling = new Sampling(1.2, 20, 0.9, 11).withMinP(0.01).withRepetitionPenalty(1.1);
        assertThat(tokens(sampling)).isEqualTo(tokens(sampling)).isNotEqualTo(tokens(new Sampling(1.2, 20, 0.9, 12)));
    }

    @Test
    void ofEqualTokensTheFirstIsTheLikeliest() {
        assertThat(new Sampler(Sampling.greedy()).next(new float[] {-0.0f, 3, 0, 3}))
                .isEqualTo(1);
        assertThat(new Sampler(new Sampling(1, 1, 1, 0)).next(new float[] {-0.0f, 3, 0, 3}))
                .isEqualTo(1);
        assertThat(new Sampler(new Sampling(1, 1, 1, 0)).next(new float[] {-0.0f, 0, -1}))
                .isZero();
    }

    @Test
    void badSettingsAreNamed() {
        assertThatThrownBy(() -> new Sampling(-1, 0, 1, 0)).hasMessageContaining("temperature is -1.0");
        assertThatThrownBy(() -> new Sampling(1, -2, 1, 0)).hasMessageContaining("topK is -2");
        assertThatThrownBy(() -> new Sampling(1, 0, 0, 0)).hasMessageContaining("topP is 0.0");
        assertThatThrownBy(() -> Sampling.greedy().withMinP(2)).hasMessageContaining("minP is 2.0");
        assertThatThrownBy(() -> Sampling.greedy().withRepetitionPenalty(0))
                .hasMessageContaining("repetitionPenalty is 0");
    }

    private static List<Integer> tokens(Sampling sampling) {
        Sampler sampler = new Sampler(sampling);
        List<Integer> tokens = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            float[] logits = new float[100];
            for (int j = 0; j < logits.length; j++) {
                logits[j] = (float) Math.sin(i * 31 + j * 7) * 4;
            }
            tokens.add(sampler.next(logits));
        }
        return tokens;
    }

    private static int[] ints(JsonNode array) {
        return Arrays.stream(doubles(array)).mapToInt(value -> (int) value).toArray();
    }

    private static float[] floats(JsonNode array) {
        float[] values = new float[array.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) array.get(i).asDouble();
        }
        return values;
    }

    private static double[] doubles(JsonNode array) {
        double[] values = new double[array.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.get(i).asDouble();
        }
        return values;
    }
}
