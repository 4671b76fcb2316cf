package io.graft.cli;

import io.graft.adapter.Adapter;
import io.graft.adapter.Boft;
import io.graft.adapter.C3a;
import io.graft.adapter.CapaBoost;
import io.graft.adapter.Compacter;
import io.graft.adapter.FourierFt;
import io.graft.adapter.Glora;
import io.graft.adapter.Hira;
import io.graft.adapter.Hiwi;
import io.graft.adapter.KAdaptation;
import io.graft.adapter.Loha;
import io.graft.adapter.Lokr;
import io.graft.adapter.Oft;
import io.graft.adapter.Peqa;
import io.graft.adapter.QaLora;
import io.graft.adapter.Said;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftBoftConfig;
import io.graft.io.PeftC3aConfig;
import io.graft.io.PeftCapaBoostConfig;
import io.graft.io.PeftCompacterConfig;
import io.graft.io.PeftFourierConfig;
import io.graft.io.PeftGloraConfig;
import io.graft.io.PeftHiraConfig;
import io.graft.io.PeftHiwiConfig;
import io.graft.io.PeftKAdaptationConfig;
import io.graft.io.PeftLohaConfig;
import io.graft.io.PeftLokrConfig;
import io.graft.io.PeftOftConfig;
import io.graft.io.PeftPeqaConfig;
import io.graft.io.PeftQaLoraConfig;
import io.graft.io.PeftSaidConfig;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** The methods whose change of a weight is a matrix of another form than a low-rank product; part of {@link MethodTable}. */
final class MatrixMethods {
    private MatrixMethods() {}

    static final List<Method> ALL = List.of(
            new Method(
                    "lokr",
                    "LoKr",
                    "LOKR",
                    1e-2,
                    (options, seed) -> Lokr.create(
                            PeftLokrConfig.of(
                                    options.baseModel(),
                                    options.projections(),
                                    options.rank(),
                                    options.alpha(),
                                    options.decomposeFactor(),
                                    options.decomposeBoth()),
                            seed)),
            new Method(
                    "loha",
                    "LoHa",
                    "LOHA",
                    1e-2,
                    (options, seed) -> Loha.create(
                            PeftLohaConfig.of(
                                    options.baseModel(), options.projections(), options.rank(), options.alpha()),
                            seed)),
            new Method(
                    "oft",
                    "OFT",
                    "OFT",
                    5e-3,
                    (options, seed) -> Oft.create(
                            PeftOftConfig.of(
                                    options.baseModel(), options.projections(), options.blockSize(), options.exact()),
                            seed)),
            new Method(
                    "boft",
                    "BOFT",
                    "BOFT",
                    5e-3,
                    (options, seed) -> Boft.create(
                            PeftBoftConfig.of(
                                    options.baseModel(),
                                    options.projections(),
                                    options.butterflySize(),
                                    options.butterflyFactors()),
                            seed)),
            new Method(
                    "said",
                    "intrinsic SAID",
                    "INTRINSIC_SAID",
                    1e-2,
                    (options, seed) -> Said.create(
                            PeftSaidConfig.of(options.baseModel(), options.projections(), options.dimension(), seed))),
            new Method("qalora", "QA-LoRA", "LORA", 2e-3, MatrixMethods::qaLora),
            new Method(
                    "hira",
                    "HiRA",
                    "HIRA",
                    1e-2,
                    (options, seed) -> Hira.create(
                            PeftHiraConfig.of(options.baseModel(), options.projections(), options.rank()), seed)),
            new Method(
                    "glora",
                    "GLoRA",
                    "GLORA",
                    5e-3,
                    (options, seed) -> Glora.create(
                            PeftGloraConfig.of(options.baseModel(), options.projections(), options.rank()), seed)),
            new Method(
                    "hiwi",
                    "HiWi",
                    "HIWI",
                    2e-3,
                    (options, seed) -> Hiwi.create(
                            PeftHiwiConfig.of(options.baseModel(), options.projections(), options.rank()), seed)),
            new Method(
                    "compacter",
                    "Compacter",
                    "COMPACTER",
                    1e-2,
                    (options, seed) -> Compacter.create(
                            PeftCompacterConfig.of(options.baseModel(), options.last(), options.rank()), seed)),
            new Method(
                    "c3a",
                    "C3A",
                    "C3A",
                    1e-1,
                    (options, seed) -> C3a.create(
                            PeftC3aConfig.of(
                                    options.baseModel(),
                                    options.projections(),
                                    options.circulantSize() == null
                                            ? divisor(LlamaConfig.read(Path.of(options.baseModel())))
                                            : options.circulantSize()),
                            seed)),
            new Method("fourierft", "FourierFT", "FOURIERFT", 5e-3, MatrixMethods::fourierFt),
            new Method(
                    "kadaptation",
                    "KAdaptation",
                    "KADAPTATION",
                    5e-3,
                    (options, seed) -> KAdaptation.create(
                            PeftKAdaptationConfig.of(options.baseModel(), options.projections(), options.rank()),
                            seed)),
            new Method(
                    "capaboost",
                    "CapaBoost",
                    "CAPABOOST",
                    2e-3,
                    (options, seed) -> CapaBoost.create(
                            PeftCapaBoostConfig.of(
                                    options.baseModel(),
                                    options.projections(),
                                    options.rank(),
                                    options.alpha(),
                                    options.dropout(),
                                    options.copies(),
                                    options.keptShare(0.5),
                                    seed & Integer.MAX_VALUE),
                            seed)),
            new Method(
                    "peqa",
                    "PEQA",
                    "PEQA",
                    5e-3,
                    (options, seed) -> Peqa.create(PeftPeqaConfig.of(
                            options.baseModel(), options.projections(), options.bits(), options.groups()))));

    private static Adapter qaLora(MethodSettings options, long seed) {
        int group = options.groupSize() == null
                ? group(LlamaConfig.read(Path.of(options.baseModel())))
                : options.groupSize();
        return QaLora.create(
                PeftQaLoraConfig.of(options.baseModel(), options.projections(), options.rank(), options.alpha(), group),
                seed);
    }

    /** 16, or less where that does not divide the inputs of a layer. */
    private static int group(LlamaConfig model) {
        int group = 16;
        while (model.hiddenSize() % group != 0
                || model.intermediateSize() % group != 0
                || model.headDim() * model.heads() % group != 0) {
            group /= 2;
        }
        return group;
    }

    /** The places of a layer's entries come from a seed in the file, which PEFT reads as 32 bits. */
    private static Adapter fourierFt(MethodSettings options, long seed) {
        return FourierFt.create(
                PeftFourierConfig.of(
                        options.baseModel(),
                        options.projections(),
                        options.frequencies(),
                        options.givenAlpha() == null ? scaling(options) : options.givenAlpha(),
                        seed & Integer.MAX_VALUE),
                seed);
    }

    /** Weights then move in a step about as far as LoRA's do at a scale of 2 and the same learning rate. */
    private static double scaling(MethodSettings options) {
        double width = LlamaConfig.read(Path.of(options.baseModel())).hiddenSize();
        return 2 * width * Math.sqrt(width) / Math.sqrt(options.frequencies());
    }

    /** The largest size of blocks up to 256 that divides every layer. */
    private static int divisor(LlamaConfig model) {
        int[] sizes = {
            model.hiddenSize(),
            model.intermediateSize(),
            model.headDim() * model.heads(),
            model.headDim() * model.kvHeads()
        };
        int size = 256;
        while (!divides(size, sizes)) {
            size--;
        }
        return size;
    }

    private static boolean divides(int size, int[] sizes) {
        return Arrays.stream(sizes).allMatch(each -> each % size == 0);
    }
}
