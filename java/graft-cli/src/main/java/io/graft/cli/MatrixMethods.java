package io.graft.cli;

import io.graft.adapter.Loha;
import io.graft.adapter.Lokr;
import io.graft.adapter.Oft;
import io.graft.adapter.Said;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftLohaConfig;
import io.graft.io.PeftLokrConfig;
import io.graft.io.PeftOftConfig;
import io.graft.io.PeftSaidConfig;
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
                                    options.baseModel,
                                    options.targets(LlamaConfig.PROJECTIONS),
                                    options.rank,
                                    options.alpha(),
                                    options.decomposeFactor,
                                    options.decomposeBoth),
                            seed),
                    (folder, train) -> train ? Lokr.load(folder) : Lokr.frozen(folder)),
            new Method(
                    "loha",
                    "LoHa",
                    "LOHA",
                    1e-2,
                    (options, seed) -> Loha.create(
                            PeftLohaConfig.of(
                                    options.baseModel,
                                    options.targets(LlamaConfig.PROJECTIONS),
                                    options.rank,
                                    options.alpha()),
                            seed),
                    (folder, train) -> train ? Loha.load(folder) : Loha.frozen(folder)),
            new Method(
                    "oft",
                    "OFT",
                    "OFT",
                    5e-3,
                    (options, seed) -> Oft.create(
                            PeftOftConfig.of(
                                    options.baseModel,
                                    options.targets(LlamaConfig.PROJECTIONS),
                                    options.blockSize,
                                    options.exact),
                            seed),
                    (folder, train) -> train ? Oft.load(folder) : Oft.frozen(folder)),
            new Method(
                    "said",
                    "intrinsic SAID",
                    "INTRINSIC_SAID",
                    1e-2,
                    (options, seed) -> Said.create(PeftSaidConfig.of(
                            options.baseModel, options.targets(LlamaConfig.PROJECTIONS), options.dimension, seed)),
                    (folder, train) -> train ? Said.load(folder) : Said.frozen(folder)));
}
