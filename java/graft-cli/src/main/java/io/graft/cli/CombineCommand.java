package io.graft.cli;

import io.graft.adapter.AdapterAverage;
import io.graft.adapter.LoraSum;
import io.graft.tensor.Context;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code graft combine}: one adapter out of several of the same base model, files to files. */
@Command(
        name = "combine",
        description = {
            "Make one adapter of several that belong to the same base model.",
            "",
            "linear, cat, svd: the weighted sum of LoRA adapters, as PEFT's add_weighted_adapter makes it; cat is exact"
                    + " and has the sum of the ranks, svd is the nearest of one rank, linear adds factors of one rank.",
            "average, mera: the weighted average of adapters of any one kind, number by number (AdapterSoup); mera first"
                    + " brings the units of LoRA or bottleneck adapters into the order of the first one's."
        })
final class CombineCommand extends GraftCommand {
    /** What --how takes. */
    enum How {
        LINEAR,
        CAT,
        SVD,
        AVERAGE,
        MERA
    }

    @Option(names = "--adapter", required = true, paramLabel = "DIR", description = "An adapter; once for each.")
    List<Path> adapters;

    @Option(
            names = "--weights",
            paramLabel = "X",
            split = ",",
            description =
                    "One weight for each adapter, of any sign; averages divide them by their sum (default: 1 each).")
    double[] weights;

    @Option(
            names = "--how",
            required = true,
            paramLabel = "HOW",
            description = "${COMPLETION-CANDIDATES}, in any case.")
    How how;

    @Option(names = "--rank", paramLabel = "R", description = "svd: rank of the result (default: the largest).")
    Integer rank;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Where the result goes.")
    Path folder;

    @Override
    int execute() throws IOException {
        positive("--rank", rank);
        if (rank != null && how != How.SVD) {
            throw usage("--rank is for --how svd");
        }
        if (weights == null) {
            weights = new double[adapters.size()];
            Arrays.fill(weights, 1);
        }
        if (weights.length != adapters.size()) {
            throw usage("--weights has " + weights.length + " numbers for " + adapters.size() + " adapters");
        }
        for (Path adapter : adapters) {
            existingFolder("--adapter", adapter);
            if (Files.exists(folder) && Files.isSameFile(folder, adapter)) {
                throw new InputException("--out must not be the folder of an adapter, " + adapter);
            }
        }
        try (Context context = openContext()) {
            switch (how) {
                case LINEAR, CAT, SVD ->
                    LoraSum.write(
                            context,
                            adapters,
                            weights,
                            LoraSum.How.valueOf(how.name()),
                            rank == null ? 0 : rank,
                            folder);
                case AVERAGE, MERA -> AdapterAverage.write(context, adapters, weights, how == How.MERA, folder);
            }
        }
        String name = how.name().toLowerCase(Locale.ROOT);
        out().say(
                        "%s of %s with weights %s; saved in %s",
                        name,
                        adapters.stream().map(Path::toString).collect(Collectors.joining(", ")),
                        Arrays.toString(weights),
                        folder);
        out().event("combined", "how", name, "weights", weights, "out", folder.toString());
        return 0;
    }
}
