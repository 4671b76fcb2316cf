package io.graft.cli;

import io.graft.adapter.Reselection;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Settings of the methods; each method reads what it needs, through {@link MethodSettings}. */
public final class MethodOptions {
    @Option(
            names = "--rank",
            paramLabel = "R",
            description = "Rank or width of the adapter, or trained columns of each layer; SHiRA trains as many entries"
                    + " as LoRA of this rank has (default: ${DEFAULT-VALUE}).")
    int rank = 16;

    @Option(
            names = "--parameters",
            paramLabel = "REGEX",
            description = "full: only the parameters whose whole name matches, such as 'model[.]layers[.]1[0-9][.].*'.")
    Pattern parameters;

    @Option(
            names = "--stochastic-rounding",
            description =
                    "full, with --dtype bf16: weights have no fp32 masters; steps are rounded at random, right in the"
                            + " mean.")
    boolean stochasticRounding;

    @Option(names = "--alpha", paramLabel = "X", description = "Scale: alpha / rank (default: twice the rank).")
    Double alpha;

    @Option(
            names = "--dropout",
            paramLabel = "P",
            description = "LoRA, DoRA: dropout on the adapter's input (default: ${DEFAULT-VALUE}).")
    double dropout;

    @Option(
            names = "--decompose-factor",
            paramLabel = "N",
            description = "LoKr: size of the first factor of each weight (default: as near to the second's as can be).")
    int decomposeFactor = -1;

    @Option(names = "--decompose-both", description = "LoKr: the first factor too is of this rank at most.")
    boolean decomposeBoth;

    @Option(
            names = "--block-size",
            paramLabel = "N",
            description = "OFT: inputs that a rotation turns together (default: ${DEFAULT-VALUE}).")
    int blockSize = 32;

    @Option(
            names = "--circulant-size",
            paramLabel = "N",
            description = "C3A: size of a block (default: the largest up to 256 that divides the inputs and outputs of"
                    + " every layer).")
    Integer circulantSize;

    @Option(
            names = "--frequencies",
            paramLabel = "N",
            description = "FourierFT: trained entries of each layer's spectrum (default: ${DEFAULT-VALUE}).")
    int frequencies = 1000;

    @Option(
            names = "--group-size",
            paramLabel = "N",
            description =
                    "QA-LoRA: neighbouring inputs that share a column of A (default: 16, or the largest of 8, 4, 2"
                            + " and 1 that divides the inputs of every layer).")
    Integer groupSize;

    @Option(
            names = "--butterfly-size",
            paramLabel = "N",
            description = "BOFT: inputs that a block of a factor turns together (default: ${DEFAULT-VALUE}).")
    int butterflySize = 4;

    @Option(
            names = "--butterfly-factors",
            paramLabel = "N",
            description = "BOFT: factors of a rotation, each of which doubles its reach (default: ${DEFAULT-VALUE}).")
    int butterflyFactors = 2;

    @Option(names = "--exact", description = "OFT: exact rotations instead of the first terms of their series.")
    boolean exact;

    @Option(
            names = "--factor-dropout",
            paramLabel = "P",
            description = "LoRA Dropout: dropout of A's columns and B's rows (default: ${DEFAULT-VALUE}).")
    double factorDropout = 0.2;

    @Option(
            names = "--period",
            paramLabel = "N",
            description = "PeriodicLoRA: steps after which the base takes the product in (default: a quarter of all).")
    Integer period;

    @Option(
            names = "--rate-ratio",
            paramLabel = "X",
            description = "LoRA+: learning rate of B over that of A (default: ${DEFAULT-VALUE}).")
    double rateRatio = 16;

    @Option(
            names = "--save-ranks",
            paramLabel = "R",
            split = ",",
            description = "DyLoRA: also save the adapter cut to these ranks, in folders rank-R of --out.")
    int[] saveRanks = {};

    @Option(
            names = "--sparsity",
            paramLabel = "X",
            description = "SoRA: weight of the penalty on gates: a step takes its learning rate times X off each"
                    + " (default: ${DEFAULT-VALUE}).")
    double sparsity = 0.5;

    @Option(names = "--rank-stabilised", description = "LoRA, DoRA: scale by alpha / sqrt(rank).")
    boolean rankStabilised;

    @Option(
            names = "--lora-bias",
            paramLabel = "none|all|lora_only",
            description = "LoRA, DoRA: biases of the base that are trained too (default: ${DEFAULT-VALUE}).")
    String loraBias = "none";

    @Option(
            names = "--target-modules",
            paramLabel = "NAME",
            split = ",",
            description =
                    "Linear layers that get an adapter; all-linear: all of each block (the default; ia3: k, v and down;"
                            + " bottleneck: o and down).")
    String[] targets;

    @Option(
            names = "--columns",
            paramLabel = "HOW",
            description = "PaCA: which columns are trained, ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
    Columns columns = Columns.RANDOM;

    @Option(
            names = "--reselect-every",
            paramLabel = "N",
            description = "PaCA: other columns every N steps, 0: never; Fish-Dip: other entries, 0: ten times"
                    + " (default: ${DEFAULT-VALUE}).")
    int reselectEvery;

    @Option(
            names = "--reselect-by",
            paramLabel = "HOW",
            description = "PaCA: what they are chosen by, ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
    Reselection reselectBy = Reselection.RANDOM;

    @Option(
            names = "--selection",
            paramLabel = "HOW",
            description =
                    "SHiRA: which entries are trained, ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}); rows: which"
                            + " rows, by random, magnitude or change.")
    Selection selection = Selection.RANDOM;

    @Option(
            names = "--samples",
            paramLabel = "N",
            description =
                    "SHiRA by gradients, FishMask, EVA, LoRA-GA, CorDA: examples that entries are chosen or factors"
                            + " made with (default: ${DEFAULT-VALUE}).")
    int samples = 64;

    @Option(
            names = "--rank-spread",
            paramLabel = "X",
            description = "EVA: largest rank over --rank; 1: all have the same (default: ${DEFAULT-VALUE}).")
    double rankSpread = 2;

    @Option(
            names = "--corda-mode",
            paramLabel = "MODE",
            description =
                    "CorDA: what is trained, ${COMPLETION-CANDIDATES}: what the examples use most (instruction-previewed)"
                            + " or least (knowledge-preserved) (default: ${DEFAULT-VALUE}).")
    CordaMode cordaMode = CordaMode.IPM;

    @Option(
            names = "--kept-gradients",
            paramLabel = "P",
            description =
                    "Child-tuning: share of the gradient's entries that a step keeps" + " (default: ${DEFAULT-VALUE}).")
    double keptGradients = 0.3;

    @Option(
            names = "--gate-penalty",
            paramLabel = "X",
            description = "Diff pruning: what the loss has for open gates, in proportion to how many are"
                    + " (default: ${DEFAULT-VALUE}).")
    double gatePenalty = 10;

    @Option(
            names = "--kept-share",
            paramLabel = "P",
            description =
                    "U-BitFit, S-BitFit, SparseAdapter, ProPETL: share of the biases, or of the adapter's numbers, that is not"
                            + " given up (default: 0.4); CapaBoost: share that each mask leaves (default: 0.5).")
    Double keptShare;

    @Option(
            names = "--copies",
            paramLabel = "N",
            description =
                    "CapaBoost: copies of LoRA's factors, each under masks of its own (default: ${DEFAULT-VALUE}).")
    int copies = 2;

    @Option(
            names = "--changed-model",
            paramLabel = "DIR",
            description = "SHiRA, rows by change: the same model, trained whole; what changed most is trained.")
    Path changedModel;

    @Option(
            names = "--virtual-tokens",
            paramLabel = "N",
            description =
                    "Prompt and prefix tuning, LLaMA-Adapter: how many trained tokens (default: ${DEFAULT-VALUE}).")
    int virtualTokens = 20;

    @Option(
            names = "--dimension",
            paramLabel = "N",
            description = "SAID: numbers that are trained for all layers together (default: ${DEFAULT-VALUE}).")
    int dimension = 10000;

    @Option(
            names = "--reduction",
            paramLabel = "N",
            description = "LST: the model's widths over those of the side network (default: ${DEFAULT-VALUE}).")
    int reduction = 8;

    @Option(
            names = "--reparametrise",
            description = "Prefix tuning: a network makes the keys and values while they are trained.")
    boolean reparametrise;

    @Option(
            names = "--keep-tokens",
            paramLabel = "X",
            description = "XPrompt: share of the virtual tokens that stay (default: ${DEFAULT-VALUE}).")
    double keptTokens = 0.5;

    @Option(
            names = "--keep-pieces",
            paramLabel = "X",
            description = "XPrompt: share of the sixteenths of those that stay (default: ${DEFAULT-VALUE}).")
    double keptPieces = 0.5;

    @Option(
            names = "--places",
            paramLabel = "N",
            description =
                    "DePT: tokens of a row whose embeddings are updated, from the first (default: ${DEFAULT-VALUE}).")
    int places = 256;

    @Option(
            names = "--update-rate-ratio",
            paramLabel = "X",
            description = "DePT: learning rate of the update over that of the prompt (default: ${DEFAULT-VALUE}).")
    double updateRateRatio = 0.05;

    @Option(
            names = "--last-layers",
            paramLabel = "N",
            description = "LLaMA-Adapter: how many layers, from the top (default: all).")
    Integer lastLayers;

    @Option(
            names = "--fuse",
            paramLabel = "DIR",
            description = "fusion, mole: a folder of a bottleneck or LoRA adapter, given for each that there is.")
    List<Path> fuse = List.of();

    @Mixin
    MixtureOptions mixture = new MixtureOptions();

    @Option(names = "--parallel", description = "Bottleneck adapters: beside the layers instead of behind them.")
    boolean parallel;

    @Option(
            names = "--bits",
            paramLabel = "2|3|4",
            description =
                    "SketchTune, PEQA over dense layers: bits of a code (default: ${DEFAULT-VALUE}). They become sketches"
                            + " without calibration; `graft sketch` makes better ones.")
    int bits = 4;

    @Option(
            names = "--groups",
            paramLabel = "N",
            description = "SketchTune, PEQA over dense layers: tables of each row (default: ${DEFAULT-VALUE}).")
    int groups = 4;

    /** What --columns takes. */
    enum Columns {
        RANDOM,
        NORM
    }

    /** What --corda-mode takes. */
    enum CordaMode {
        IPM,
        KPM
    }

    /** What --selection takes. */
    enum Selection {
        RANDOM,
        MAGNITUDE,
        SMALLEST,
        GRADIENT,
        SNIP,
        FISHER,
        SECOND_ORDER,
        CHANGE
    }

    /** Written into the adapter's configuration. */
    String baseModel = "";

    /** For what changes on the way. */
    int steps = 200;

    /** For adapters that change on the way: so many steps will be made. */
    public MethodOptions withSteps(long count) {
        steps = (int) Math.min(count, Integer.MAX_VALUE);
        return this;
    }

    /** The same for adapters of this model. */
    public MethodOptions withBaseModel(Path model) {
        baseModel = model.toString();
        return this;
    }

    /** How many examples a method may look at before it trains. */
    public int samples() {
        return samples;
    }

    /** Complains about an option on the command line that none of these methods reads. */
    void expectReadBy(GraftCommand command, List<Method> methods) {
        Set<String> read = new HashSet<>();
        methods.forEach(method -> read.addAll(method.reads(this).keySet()));
        command.given(new MethodOptions())
                .filter(option -> !read.contains(option))
                .forEach(option -> {
                    throw command.usage(option + " is nothing that --method "
                            + methods.stream().map(Method::name).collect(Collectors.joining(",")) + " reads");
                });
    }
}
