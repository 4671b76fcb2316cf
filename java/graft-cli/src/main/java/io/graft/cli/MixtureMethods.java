package io.graft.cli;

import io.graft.adapter.AdaMix;
import io.graft.adapter.Adapter;
import io.graft.adapter.Bottleneck;
import io.graft.adapter.MoeLora;
import io.graft.adapter.Mov;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftIa3Config;
import io.graft.io.PeftMoeLoraConfig;
import io.graft.io.PeftMovConfig;
import java.nio.file.Path;
import java.util.List;

/** The methods that have several experts at each place; part of {@link MethodTable}. */
final class MixtureMethods {
    private MixtureMethods() {}

    static final List<Method> ALL = List.of(
            new Method(
                    "moelora",
                    "MoELoRA",
                    "MOE_LORA",
                    2e-3,
                    (options, seed) -> moeLora(options, seed, Math.max(1, options.rank / options.experts), false),
                    MixtureMethods::moeLora),
            new Method(
                    "mixlora",
                    "MixLoRA",
                    "MOE_LORA",
                    2e-3,
                    (options, seed) -> moeLora(options, seed, options.rank, true),
                    MixtureMethods::moeLora),
            new Method(
                    "mov",
                    "MoV",
                    "MOV",
                    2e-2,
                    (options, seed) -> Mov.create(
                            PeftMovConfig.of(
                                    options.baseModel,
                                    options.targets(PeftIa3Config.LLAMA_TARGETS),
                                    options.router(options.experts, 0)),
                            seed),
                    (folder, train) -> train ? Mov.load(folder) : Mov.frozen(folder)),
            new Method(
                    "adamix",
                    "AdaMix",
                    "BOTTLENECK",
                    5e-3,
                    (options, seed) -> AdaMix.create(
                            PeftBottleneckConfig.of(
                                    options.baseModel,
                                    options.targets(PeftBottleneckConfig.SERIAL_TARGETS),
                                    options.rank,
                                    options.parallel),
                            options.experts,
                            seed),
                    (folder, train) -> train ? Bottleneck.load(folder) : Bottleneck.frozen(folder)));

    private static Adapter moeLora(Path folder, boolean train) {
        return train ? MoeLora.load(folder) : MoeLora.frozen(folder);
    }

    /** The scale is that of LoRA with the whole rank. */
    private static Adapter moeLora(MethodOptions options, long seed, int rank, boolean sparse) {
        PeftMoeLoraConfig config = PeftMoeLoraConfig.of(
                options.baseModel,
                options.targets(LlamaConfig.PROJECTIONS),
                rank,
                options.alpha() * rank / options.rank,
                sparse ? options.router(2, 0.01) : options.router(options.experts, 0));
        return MoeLora.create(config, seed);
    }
}
