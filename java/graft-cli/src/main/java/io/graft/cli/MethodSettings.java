package io.graft.cli;

import io.graft.adapter.Reselection;
import io.graft.io.Architecture;
import io.graft.io.LlamaConfig;
import io.graft.io.RouterSettings;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * What a method sees of {@link MethodOptions}: every value through a method that keeps the option's name, so that an
 * option that was given and that nothing reads is known, and no method has to say what it reads.
 */
final class MethodSettings {
    private static final String ALL_LINEAR = "all-linear";

    private final MethodOptions options;
    private final Map<String, Object> read = new LinkedHashMap<>();

    MethodSettings(MethodOptions options) {
        this.options = options;
    }

    /** The options that were read so far with their values; null: not given, and without a default. */
    Map<String, Object> read() {
        return read;
    }

    private <T> T read(String option, T value) {
        read.put(option, value);
        return value;
    }

    String baseModel() {
        return options.baseModel;
    }

    /** How many will be made, for what changes on the way. */
    int steps() {
        return options.steps;
    }

    int rank() {
        return read("--rank", options.rank);
    }

    Pattern parameters() {
        return read("--parameters", options.parameters);
    }

    boolean stochasticRounding() {
        return read("--stochastic-rounding", options.stochasticRounding);
    }

    double dropout() {
        return read("--dropout", options.dropout);
    }

    int decomposeFactor() {
        return read("--decompose-factor", options.decomposeFactor);
    }

    boolean decomposeBoth() {
        return read("--decompose-both", options.decomposeBoth);
    }

    int blockSize() {
        return read("--block-size", options.blockSize);
    }

    Integer circulantSize() {
        return read("--circulant-size", options.circulantSize);
    }

    int frequencies() {
        return read("--frequencies", options.frequencies);
    }

    Integer groupSize() {
        return read("--group-size", options.groupSize);
    }

    int butterflySize() {
        return read("--butterfly-size", options.butterflySize);
    }

    int butterflyFactors() {
        return read("--butterfly-factors", options.butterflyFactors);
    }

    boolean exact() {
        return read("--exact", options.exact);
    }

    double factorDropout() {
        return read("--factor-dropout", options.factorDropout);
    }

    Integer period() {
        return read("--period", options.period);
    }

    double rateRatio() {
        return read("--rate-ratio", options.rateRatio);
    }

    int[] saveRanks() {
        return read("--save-ranks", options.saveRanks);
    }

    double sparsity() {
        return read("--sparsity", options.sparsity);
    }

    boolean rankStabilised() {
        return read("--rank-stabilised", options.rankStabilised);
    }

    String loraBias() {
        return read("--lora-bias", options.loraBias);
    }

    MethodOptions.Columns columns() {
        return read("--columns", options.columns);
    }

    int reselectEvery() {
        return read("--reselect-every", options.reselectEvery);
    }

    Reselection reselectBy() {
        return read("--reselect-by", options.reselectBy);
    }

    MethodOptions.Selection selection() {
        return read("--selection", options.selection);
    }

    int samples() {
        return read("--samples", options.samples);
    }

    double rankSpread() {
        return read("--rank-spread", options.rankSpread);
    }

    MethodOptions.CordaMode cordaMode() {
        return read("--corda-mode", options.cordaMode);
    }

    double keptGradients() {
        return read("--kept-gradients", options.keptGradients);
    }

    double gatePenalty() {
        return read("--gate-penalty", options.gatePenalty);
    }

    int copies() {
        return read("--copies", options.copies);
    }

    Path changedModel() {
        return read("--changed-model", options.changedModel);
    }

    int virtualTokens() {
        return read("--virtual-tokens", options.virtualTokens);
    }

    int dimension() {
        return read("--dimension", options.dimension);
    }

    int reduction() {
        return read("--reduction", options.reduction);
    }

    boolean reparametrise() {
        return read("--reparametrise", options.reparametrise);
    }

    double keptTokens() {
        return read("--keep-tokens", options.keptTokens);
    }

    double keptPieces() {
        return read("--keep-pieces", options.keptPieces);
    }

    int places() {
        return read("--places", options.places);
    }

    double updateRateRatio() {
        return read("--update-rate-ratio", options.updateRateRatio);
    }

    Integer lastLayers() {
        return read("--last-layers", options.lastLayers);
    }

    List<Path> fuse() {
        return read("--fuse", options.fuse);
    }

    boolean parallel() {
        return read("--parallel", options.parallel);
    }

    int bits() {
        return read("--bits", options.bits);
    }

    int groups() {
        return read("--groups", options.groups);
    }

    int experts() {
        return read("--experts", options.mixture.experts);
    }

    Integer topK() {
        return read("--top-k", options.mixture.topK);
    }

    Double balance() {
        return read("--balance", options.mixture.balance);
    }

    /** What the user said, else twice the rank. */
    double alpha() {
        Double given = givenAlpha();
        return given == null ? 2.0 * rank() : given;
    }

    /** What the user said, or null. */
    Double givenAlpha() {
        return read("--alpha", options.alpha);
    }

    double keptShare(double absent) {
        Double given = read("--kept-share", options.keptShare);
        return given == null ? absent : given;
    }

    /** What the user said about routers, else at most so many experts for a token, and this balance. */
    RouterSettings router(int atMost, double balanced) {
        Integer each = topK();
        Double balance = balance();
        return new RouterSettings(
                experts(), each == null ? Math.min(atMost, experts()) : each, balance == null ? balanced : balance);
    }

    /** The layers that the user named, all of the blocks for {@code all-linear} as in PEFT, else these. */
    List<String> targets(List<String> otherwise) {
        String[] given = read("--target-modules", options.targets);
        if (given == null) {
            return otherwise;
        }
        List<String> names = Arrays.stream(given).map(String::strip).toList();
        List<String> known = architecture().projections();
        if (names.equals(List.of(ALL_LINEAR))) {
            return known;
        }
        for (String name : names) {
            if (!known.contains(name.substring(name.lastIndexOf('.') + 1))) {
                throw new InputException("--target-modules: the model has no linear layer '" + name
                        + "' in its blocks, only " + String.join(", ", known) + "; " + ALL_LINEAR + ": all of them");
            }
        }
        return names;
    }

    /** The layers that the user named, else all linear layers of the base model's blocks. */
    List<String> projections() {
        return targets(architecture().projections());
    }

    /** The layers that the user named, else those that (IA)³ scales in the base model. */
    List<String> scaled() {
        return targets(architecture().scaledModules());
    }

    /** The layers that the user named, else the last one of attention and of the MLP in the base model. */
    List<String> last() {
        return targets(architecture().lastModules());
    }

    Architecture architecture() {
        return options.baseModel.isEmpty()
                ? Architecture.LLAMA
                : LlamaConfig.read(Path.of(options.baseModel)).design().architecture();
    }
}
