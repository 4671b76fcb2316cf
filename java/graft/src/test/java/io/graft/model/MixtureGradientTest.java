package io.graft.model;

import io.graft.adapter.AdaMix;
import io.graft.adapter.Adapter;
import io.graft.adapter.AdapterFusion;
import io.graft.adapter.Bottleneck;
import io.graft.adapter.Lora;
import io.graft.adapter.LoraSet;
import io.graft.adapter.MoeLora;
import io.graft.adapter.Mov;
import io.graft.adapter.PeftAdapter;
import io.graft.adapter.Smop;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftMoeLoraConfig;
import io.graft.io.PeftMovConfig;
import io.graft.io.PeftSmopConfig;
import io.graft.io.RouterSettings;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** As {@link GradientCheckTest}, the methods that have several adapters at each place. */
class MixtureGradientTest {
    private static final List<String> ALL = LlamaConfig.PROJECTIONS;
    private static final List<String> BEHIND = List.of("o_proj", "down_proj");

    private static Lora lora(int rank, String targets) {
        return Lora.create(PeftLoraConfig.parse("test", """
                {"peft_type": "LORA", "r": %d, "lora_alpha": 5, "lora_dropout": 0.3, "init_lora_weights": false,
                 "target_modules": %s}""".formatted(rank, targets)), rank);
    }

    private static Adapter adapter(String kind) {
        return switch (kind) {
            case "loraset" -> {
                Map<String, Lora> parts = new LinkedHashMap<>();
                parts.put("all", lora(3, "\"all-linear\""));
                parts.put("some", lora(2, "[\"q_proj\", \"down_proj\"]"));
                yield LoraSet.of(parts);
            }
            case "moelora" -> moe(new RouterSettings(3, 3, 0));
            case "mixlora" -> moe(new RouterSettings(4, 2, 0.7));
            case "gatedlora" -> MoeLora.create(PeftMoeLoraConfig.gated("base", ALL, 3, 4), 5);
            case "mov" ->
                Mov.create(
                        PeftMovConfig.of(
                                "base",
                                List.of("q_proj", "v_proj", "up_proj", "o_proj", "down_proj"),
                                new RouterSettings(3, 3, 0)),
                        5);
            case "sparsemov" -> Mov.create(PeftMovConfig.of("base", ALL, new RouterSettings(4, 2, 0.5)), 5);
            case "gatedserial" ->
                Bottleneck.create(
                        PeftBottleneckConfig.of("base", BEHIND, 3, false).withGates(), 5);
            case "gatedparallel" ->
                Bottleneck.create(PeftBottleneckConfig.of("base", ALL, 3, true).withGates(), 5);
            case "adamix" -> AdaMix.create(PeftBottleneckConfig.of("base", BEHIND, 3, false), 3, 5);
            case "smop" -> Smop.create(PeftSmopConfig.of("base", 2, new RouterSettings(3, 1, 0.4)), 5);
            case "softsmop" -> Smop.create(PeftSmopConfig.of("base", 2, new RouterSettings(3, 2, 0)), 5);
            default -> throw new IllegalArgumentException(kind);
        };
    }

    /** The folder of an adapter with values as after training, for a model like that of the check. */
    private static Path trained(Path folder, boolean tied, PeftAdapter<?> part, int seed) {
        Path out = folder.resolve("part" + seed);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model =
                        Llama.create(scope, GradientCheck.config(tied), DType.F64, 4, Llama.Options.training(part))) {
            SplittableRandom random = new SplittableRandom(seed);
            for (Parameter parameter : model.trainable()) {
                parameter
                        .value()
                        .set(random.doubles(parameter.value().elements(), -0.4, 0.4)
                                .toArray());
            }
            part.save(out);
        }
        return out;
    }

    private static Bottleneck network(int size) {
        return Bottleneck.create(PeftBottleneckConfig.parse("test", """
                {"peft_type": "BOTTLENECK", "bottleneck_size": %d, "non_linearity": "tanh",
                 "target_modules": ["o_proj", "down_proj"]}""".formatted(size)), size);
    }

    @ParameterizedTest
    @CsvSource({"fusion, false, false", "fusion, true, true", "mole, false, false", "mole, true, true"})
    void gradientsOverTrainedAdaptersAreDerivativesOfTheLoss(
            String kind, boolean tied, boolean checkpointing, @TempDir Path folder) {
        Map<String, Path> parts = new LinkedHashMap<>();
        for (int size : new int[] {3, 2}) {
            PeftAdapter<?> part = kind.equals("fusion") ? network(size) : lora(size, "\"all-linear\"");
            parts.put("part" + size, trained(folder, tied, part, size));
        }
        Adapter adapter =
                kind.equals("fusion") ? AdapterFusion.create("base", parts, 5) : MoeLora.over("base", parts, 2, 0.3, 5);
        GradientCheck.check(adapter, tied, checkpointing, 0.3);
    }

    private static Adapter moe(RouterSettings router) {
        return MoeLora.create(PeftMoeLoraConfig.of("base", ALL, 2, 3, router), 5);
    }

    @ParameterizedTest
    @CsvSource({
        "loraset, false, false",
        "loraset, true, true",
        "moelora, false, false",
        "moelora, true, true",
        "mixlora, false, false",
        "mixlora, true, true",
        "gatedlora, false, false",
        "gatedlora, true, true",
        "mov, false, false",
        "mov, true, true",
        "sparsemov, false, false",
        "sparsemov, true, true",
        "gatedserial, false, false",
        "gatedserial, true, true",
        "gatedparallel, false, false",
        "gatedparallel, true, true",
        "smop, false, false",
        "smop, true, true",
        "softsmop, false, false",
        "adamix, false, false",
        "adamix, true, true"
    })
    void gradientsAreDerivativesOfTheLoss(String kind, boolean tied, boolean checkpointing) {
        GradientCheck.check(adapter(kind), tied, checkpointing, 0.3);
    }
}
