package io.graft.cli;

import io.graft.adapter.AdaMix;
import io.graft.adapter.Adapter;
import io.graft.adapter.AdapterFusion;
import io.graft.adapter.Bottleneck;
import io.graft.adapter.Combined;
import io.graft.adapter.MoeLora;
import io.graft.adapter.Mov;
import io.graft.adapter.Smop;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftMoeLoraConfig;
import io.graft.io.PeftMovConfig;
import io.graft.io.PeftSmopConfig;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The methods that have several experts at each place; part of {@link MethodTable}. */
final class MixtureMethods {
    private MixtureMethods() {}

    static final List<Method> ALL = List.of(
            new Method(
                    "moelora",
                    "MoELoRA",
                    "MOE_LORA",
                    2e-3,
                    (options, seed) -> moeLora(options, seed, Math.max(1, options.rank() / options.experts()), false)),
            new Method(
                    "mixlora",
                    "MixLoRA",
                    "MOE_LORA",
                    2e-3,
                    (options, seed) -> moeLora(options, seed, options.rank(), true)),
            new Method(
                    "mov",
                    "MoV",
                    "MOV",
                    2e-2,
                    (options, seed) -> Mov.create(
                            PeftMovConfig.of(
                                    options.baseModel(), options.scaled(), options.router(options.experts(), 0)),
                            seed)),
            new Method(
                    "adamix",
                    "AdaMix",
                    "BOTTLENECK",
                    5e-3,
                    (options, seed) -> AdaMix.create(
                            PeftBottleneckConfig.of(
                                    options.baseModel(), options.last(), options.rank(), options.parallel()),
                            options.experts(),
                            seed)),
            new Method(
                    "smop",
                    "SMoP",
                    "SMOP",
                    5e-2,
                    (options, seed) -> Smop.create(
                            PeftSmopConfig.of(options.baseModel(), options.virtualTokens(), options.router(1, 0)),
                            seed)),
            new Method("unipelt", "UniPELT", Method.COMBINED, 2e-3, MixtureMethods::uniPelt),
            new Method("mole", "MoLE", "MOE_LORA", 1e-2, MixtureMethods::mole),
            new Method("fusion", "AdapterFusion", "ADAPTER_FUSION", 1e-3, MixtureMethods::fusion));

    /** A prefix, and LoRA and networks with gates. */
    private static Adapter uniPelt(MethodSettings options, long seed) {
        Map<String, Adapter> parts = new LinkedHashMap<>();
        parts.put("prefix", Method.named("prefix").make().apply(options, seed));
        parts.put(
                "lora",
                MoeLora.create(
                        PeftMoeLoraConfig.gated(
                                options.baseModel(), List.of("q_proj", "v_proj"), options.rank(), options.alpha()),
                        seed + 1));
        parts.put(
                "bottleneck",
                Bottleneck.create(
                        PeftBottleneckConfig.of(options.baseModel(), List.of("down_proj"), options.rank(), false)
                                .withGates(),
                        seed + 2));
        return Combined.of(parts);
    }

    private static Adapter mole(MethodSettings options, long seed) {
        Map<String, Path> adapters = given("mole", "LoRA", options);
        int topK = options.topK() == null ? adapters.size() : options.topK();
        return MoeLora.over(
                options.baseModel(), adapters, topK, options.balance() == null ? 0 : options.balance(), seed);
    }

    private static Adapter fusion(MethodSettings options, long seed) {
        return AdapterFusion.create(options.baseModel(), given("fusion", "bottleneck", options), seed);
    }

    /** The folders of --fuse, by names for them. */
    private static Map<String, Path> given(String method, String kind, MethodSettings options) {
        Map<String, Path> adapters = new LinkedHashMap<>();
        options.fuse()
                .forEach(folder ->
                        adapters.put("adapter" + (adapters.size() + 1), GraftCommand.existingFolder("--fuse", folder)));
        if (adapters.size() < 2) {
            throw new InputException(
                    "--method " + method + " needs --fuse for each of at least two " + kind + " adapters");
        }
        return adapters;
    }

    /** The scale is that of LoRA with the whole rank. */
    private static Adapter moeLora(MethodSettings options, long seed, int rank, boolean sparse) {
        PeftMoeLoraConfig config = PeftMoeLoraConfig.of(
                options.baseModel(),
                options.projections(),
                rank,
                options.alpha() * rank / options.rank(),
                sparse ? options.router(2, 0.01) : options.router(options.experts(), 0));
        return MoeLora.create(config, seed);
    }
}
