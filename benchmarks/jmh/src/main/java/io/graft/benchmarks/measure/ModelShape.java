package io.graft.benchmarks.measure;

import java.util.Arrays;
import java.util.stream.Collectors;

/**
 * Sizes of real models, from which the benchmarks take their shapes.
 *
 * @see #of(String)
 */
public enum ModelShape {
    LLAMA_3_2_1B("llama-3.2-1b", 2048, 8192, 32, 8, 64, 128256),
    LLAMA_3_8B("llama-3-8b", 4096, 14336, 32, 8, 128, 128256),
    LLAMA_3_1_70B("llama-3.1-70b", 8192, 28672, 64, 8, 128, 128256),
    /** No model: so small that a benchmark only shows that it runs. */
    TINY("tiny", 128, 256, 4, 2, 32, 512);

    private final String title;
    private final int hidden;
    private final int intermediate;
    private final int heads;
    private final int kvHeads;
    private final int headSize;
    private final int vocabulary;

    ModelShape(String title, int hidden, int intermediate, int heads, int kvHeads, int headSize, int vocabulary) {
        this.title = title;
        this.hidden = hidden;
        this.intermediate = intermediate;
        this.heads = heads;
        this.kvHeads = kvHeads;
        this.headSize = headSize;
        this.vocabulary = vocabulary;
    }

    /** A linear layer W [n, k] of a model. */
    public record Layer(long n, long k) {}

    /** The shape that is called so: {@code llama-3.2-1b}, {@code llama-3-8b}, {@code llama-3.1-70b} or {@code tiny}. */
    public static ModelShape of(String title) {
        return Arrays.stream(values())
                .filter(shape -> shape.title.equals(title))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("model is " + title + ", must be one of "
                        + Arrays.stream(values()).map(shape -> shape.title).collect(Collectors.joining(", "))));
    }

    /** The linear layer that Llama calls so. */
    public Layer layer(String name) {
        return switch (name) {
            case "q_proj", "o_proj" -> new Layer((long) heads * headSize, hidden);
            case "k_proj", "v_proj" -> new Layer((long) kvHeads * headSize, hidden);
            case "gate_proj", "up_proj" -> new Layer(intermediate, hidden);
            case "down_proj" -> new Layer(hidden, intermediate);
            default ->
                throw new IllegalArgumentException(
                        "layer is " + name + ", must be a linear of Llama: q_proj, k_proj, gate_proj, down_proj …");
        };
    }

    public String title() {
        return title;
    }

    public int hidden() {
        return hidden;
    }

    public int intermediate() {
        return intermediate;
    }

    public int heads() {
        return heads;
    }

    public int kvHeads() {
        return kvHeads;
    }

    public int headSize() {
        return headSize;
    }

    public int vocabulary() {
        return vocabulary;
    }
}
