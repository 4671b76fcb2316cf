package io.graft.cli;

import io.graft.adapter.Adapter;
import io.graft.adapter.ColumnSelection;
import io.graft.adapter.Combined;
import io.graft.adapter.DiffPruning;
import io.graft.adapter.EntrySelection;
import io.graft.adapter.Paca;
import io.graft.adapter.RowSelection;
import io.graft.adapter.Rows;
import io.graft.adapter.Shira;
import io.graft.adapter.Spt;
import io.graft.adapter.Structures;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftPacaConfig;
import io.graft.io.PeftRowsConfig;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** The methods that train chosen parts of weights in place, the survey's selective ones; part of {@link MethodTable}. */
final class SelectiveMethods {
    private SelectiveMethods() {}

    static final List<Method> ALL = List.of(
            new Method(
                    "child-tuning",
                    "Child-tuning F",
                    null,
                    5e-4,
                    (options, seed) -> MethodTable.full(options).withGradientMask(options.keptGradients(), seed)),
            new Method("paca", "PaCA", "PACA", 2e-3, SelectiveMethods::paca),
            new Method("s2ft", "S2FT", "PACA", 2e-3, SelectiveMethods::s2ft),
            new Method("rows", "trained rows", "ROWS", 2e-3, SelectiveMethods::rows),
            new Method(
                    "shira", "SHiRA", "SHIRA", 2e-3, (options, seed) -> shira(options, selection(options, seed), seed)),
            new Method(
                    "fishmask",
                    "FishMask",
                    "SHIRA",
                    2e-3,
                    (options, seed) -> shira(options, EntrySelection.fisher(), seed)),
            new Method(
                    "diff-pruning",
                    "Diff pruning",
                    "SHIRA",
                    2e-3,
                    (options, seed) -> diffPruning(options, false, seed)),
            new Method(
                    "s-diff-pruning",
                    "structured Diff pruning",
                    "SHIRA",
                    2e-3,
                    (options, seed) -> diffPruning(options, true, seed)),
            new Method(
                    "spt",
                    "SPT",
                    Method.COMBINED,
                    2e-3,
                    (options, seed) -> Spt.create(options.baseModel(), MethodTable.loraConfig(options, false), seed)),
            new Method("fish-dip", "Fish-Dip", "SHIRA", 2e-3, SelectiveMethods::fishDip));

    /** Columns or rows of whole heads and of channels, about as many of each; the scale is 1. */
    private static Adapter s2ft(MethodSettings options, long seed) {
        LlamaConfig model = LlamaConfig.read(Path.of(options.baseModel()));
        Structures structures = new Structures(seed, model.heads(), model.kvHeads(), model.headDim());
        int heads = (options.rank() + model.headDim() - 1) / model.headDim() * model.headDim();
        Map<Boolean, List<String>> targets = options.targets(List.of("o_proj", "down_proj")).stream()
                .collect(Collectors.partitioningBy(Structures::hasColumns));
        Map<String, Adapter> parts = new LinkedHashMap<>();
        if (!targets.get(true).isEmpty()) {
            PeftPacaConfig config = PeftPacaConfig.builder()
                    .rank(options.rank())
                    .alpha(options.rank())
                    .rankPattern(Map.of("o_proj", heads))
                    .alphaPattern(Map.of("o_proj", (double) heads))
                    .randomSeed(seed)
                    .baseModel(options.baseModel())
                    .targets(targets.get(true).toArray(String[]::new))
                    .build();
            parts.put("columns", Paca.create(config, structures.columns()));
        }
        if (!targets.get(false).isEmpty()) {
            Map<String, Integer> ranks = Map.of("[qkv]_proj", heads);
            parts.put(
                    "rows",
                    Rows.create(
                            PeftRowsConfig.of(options.baseModel(), targets.get(false), options.rank(), ranks),
                            structures.rows()));
        }
        return parts.size() > 1 ? Combined.of(parts) : parts.values().iterator().next();
    }

    private static Adapter rows(MethodSettings options, long seed) {
        RowSelection selection = switch (options.selection()) {
            case RANDOM -> RowSelection.random(seed);
            case MAGNITUDE -> RowSelection.norm();
            case CHANGE -> RowSelection.change(changedModel(options));
            default ->
                throw new InputException("--method rows takes --selection random, magnitude or change, not "
                        + options.selection().toString().toLowerCase(Locale.ROOT));
        };
        return Rows.create(
                PeftRowsConfig.of(options.baseModel(), options.projections(), options.rank(), Map.of()), selection);
    }

    private static Path changedModel(MethodSettings options) {
        if (options.changedModel() == null) {
            throw new InputException("--selection change needs --changed-model, a folder of the trained model");
        }
        return GraftCommand.existingFolder("--changed-model", options.changedModel());
    }

    private static Shira shira(MethodSettings options, EntrySelection selection, long seed) {
        return Shira.create(options.baseModel(), options.projections(), options.rank(), selection, seed);
    }

    /** Ten choices, where the user does not say how many steps lie between them. */
    private static Adapter fishDip(MethodSettings options, long seed) {
        int every = options.reselectEvery() == 0 ? Math.max(1, options.steps() / 10) : options.reselectEvery();
        return shira(options, EntrySelection.fisher(), seed).reselecting(every, options.samples());
    }

    private static Adapter diffPruning(MethodSettings options, boolean structured, long seed) {
        return DiffPruning.create(
                options.baseModel(), options.projections(), options.rank(), structured, options.gatePenalty(), seed);
    }

    private static EntrySelection selection(MethodSettings options, long seed) {
        return switch (options.selection()) {
            case RANDOM -> EntrySelection.random(seed);
            case MAGNITUDE -> EntrySelection.magnitude();
            case SMALLEST -> EntrySelection.smallest();
            case GRADIENT -> EntrySelection.gradient();
            case SNIP -> EntrySelection.snip();
            case FISHER -> EntrySelection.fisher();
            case SECOND_ORDER -> EntrySelection.secondOrder();
            case CHANGE -> EntrySelection.change(changedModel(options));
        };
    }

    private static Adapter paca(MethodSettings options, long seed) {
        PeftPacaConfig config = PeftPacaConfig.builder()
                .rank(options.rank())
                .alpha(options.alpha())
                .randomSeed(seed)
                .baseModel(options.baseModel())
                .targets(options.projections().toArray(String[]::new))
                .build();
        Paca paca = Paca.create(
                config,
                options.columns() == MethodOptions.Columns.NORM
                        ? ColumnSelection.norm()
                        : ColumnSelection.random(config.randomSeed()));
        return options.reselectEvery() == 0 ? paca : paca.reselecting(options.reselectEvery(), options.reselectBy());
    }
}
