package io.graft.benchmarks;

import com.sun.management.ThreadMXBean;
import io.graft.adapter.Adapter;
import io.graft.adapter.Full;
import io.graft.adapter.Ia3;
import io.graft.adapter.Lora;
import io.graft.adapter.Paca;
import io.graft.adapter.PromptTuning;
import io.graft.benchmarks.measure.WholeModel;
import io.graft.io.PeftIa3Config;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftPacaConfig;
import io.graft.io.PeftPromptTuningConfig;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.train.AdamW;
import io.graft.train.Trainer;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Whole training steps (forward, loss, backward, AdamW) of a random Llama, 4 × 256 tokens: milliseconds, tokens/s, peak
 * memory, Java allocation. One method in one process, so that peaks are its own; {@code benchmarks/step/run.py} runs it
 * in turn with PyTorch + PEFT.
 */
public final class TrainingStep {
    private static final int WARM_UP = 3;
    private static final String METHODS =
            "frozen|full|full_8bit|full_in_backward|full_bf16|lora|lora_dropout|dora|ia3|prompt|paca";
    private static final String[] LINEARS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    };

    private TrainingStep() {}

    private static Adapter method(String name) {
        return switch (name) {
            // What methods are held against: forward, loss and all activation gradients. One norm of the first block is
            // trained, which is what makes backward go down to there.
            case "frozen" -> new Full("model.layers.0.input_layernorm.weight"::equals);
            case "full", "full_8bit", "full_in_backward" -> new Full();
            case "full_bf16" -> new Full().withoutMasters();
            case "lora" -> lora(0, false);
            case "lora_dropout" -> lora(0.1, false);
            case "dora" -> lora(0, true);
            case "ia3" -> Ia3.create(PeftIa3Config.of("", PeftIa3Config.LLAMA_TARGETS));
            case "prompt" ->
                PromptTuning.create(PeftPromptTuningConfig.of("", 20, PeftPromptTuningConfig.Init.RANDOM), 1);
            case "paca" ->
                Paca.create(PeftPacaConfig.builder()
                        .rank(16)
                        .alpha(32)
                        .targets(LINEARS)
                        .build());
            default -> throw new IllegalArgumentException("method is " + name + ", must be one of " + METHODS);
        };
    }

    private static Adapter lora(double dropout, boolean weightDecomposed) {
        return Lora.create(
                PeftLoraConfig.builder()
                        .rank(16)
                        .alpha(32)
                        .dropout(dropout)
                        .weightDecomposed(weightDecomposed)
                        .targets(LINEARS)
                        .build(),
                1);
    }

    /** full_in_backward: gradients of one block, and moments of 8 bits; full_bf16: that, and no masters, in bf16. */
    private static Trainer.Options options(String method) {
        boolean inBackward = method.equals("full_in_backward") || method.equals("full_bf16");
        AdamW.Settings settings = AdamW.Settings.defaults();
        return Trainer.Options.of(Long.MAX_VALUE, 1e-4)
                .withOptimiser(settings.withMaxNorm(inBackward ? 0 : settings.maxNorm())
                        .withEightBit(inBackward || method.equals("full_8bit"))
                        .withInBackward(inBackward));
    }

    /** Usage: TrainingStep METHOD DTYPE SHAPE ROUNDS; prints one line of JSON. */
    public static void main(String[] arguments) throws IOException {
        if (arguments.length != 4) {
            System.err.println("usage: TrainingStep " + METHODS + " f32|bf16 30m|150m|1b ROUNDS");
            System.exit(2);
        }
        DType dtype = DType.valueOf(arguments[1].toUpperCase(java.util.Locale.ROOT));
        WholeModel shape = WholeModel.of(arguments[2]);
        int rounds = Integer.parseInt(arguments[3]);
        double[] times = new double[rounds];
        try (Context context = Context.cpu();
                Scope scope = context.scope();
                Llama model =
                        Llama.create(scope, shape.config(), dtype, 1, Llama.Options.training(method(arguments[0])));
                Trainer trainer = new Trainer(model, options(arguments[0]), shape.batches())) {
            for (int i = 0; i < WARM_UP; i++) {
                trainer.step();
            }
            ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
            long allocated = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < rounds; i++) {
                long start = System.nanoTime();
                trainer.step();
                times[i] = (System.nanoTime() - start) * 1e-6;
            }
            allocated = threads.getCurrentThreadAllocatedBytes() - allocated;
            Arrays.sort(times);
            long trained = model.trainable().stream()
                    .mapToLong(parameter -> parameter.value().elements())
                    .sum();
            StringBuilder memory = new StringBuilder();
            for (Memory category : Memory.values()) {
                memory.append(String.format(
                        java.util.Locale.ROOT,
                        ", \"%s_mb\": %.1f",
                        category.name().toLowerCase(java.util.Locale.ROOT),
                        context.peakMemory(category) / 1e6));
            }
            System.out.printf(
                    java.util.Locale.ROOT,
                    "{\"method\": \"%s\", \"dtype\": \"%s\", \"shape\": \"%s\", \"ms\": %.1f, \"min_ms\": %.1f, "
                            + "\"tokens_per_second\": %.0f, \"trained\": %d, \"peak_rss_mb\": %d, "
                            + "\"java_bytes_per_step\": %d%s}%n",
                    arguments[0],
                    arguments[1],
                    arguments[2],
                    times[rounds / 2],
                    times[0],
                    shape.tokens() / times[rounds / 2] * 1e3,
                    trained,
                    peakRss(),
                    allocated / rounds,
                    memory);
        }
    }

    private static long peakRss() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) / 1024;
            }
        }
        return -1;
    }
}
