package io.graft.cli;

import io.graft.adapter.AdapterAverage;
import io.graft.adapter.LoraHub;
import io.graft.adapter.LoraSum;
import io.graft.io.AtomicFiles;
import io.graft.io.ChatTemplate;
import io.graft.io.TextDataset;
import io.graft.io.Tokenizer;
import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.train.Example;
import io.graft.train.Trainer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.Stream;
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
                    + " brings the units of LoRA or bottleneck adapters into the order of the first one's.",
            "lorahub: weighted sums of the factors of LoRA adapters of one rank, with the weights for which a few examples of"
                    + " --data have the least loss."
        })
final class CombineCommand extends GraftCommand {
    /** What --how takes. */
    enum How {
        LINEAR,
        CAT,
        SVD,
        AVERAGE,
        MERA,
        LORAHUB
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

    @Option(names = "--model", paramLabel = "DIR", description = "lorahub: the base model.")
    Path model;

    @Option(names = "--quantize", paramLabel = "none|nf4", description = Quantization.DESCRIPTION)
    Quantization quantize = Quantization.NONE;

    @Option(names = "--data", paramLabel = "FILE|DIR", description = "lorahub: text that weights are searched on.")
    Path data;

    @Option(names = "--length", paramLabel = "N", description = "lorahub: tokens of an example (default: 256).")
    int length = 256;

    @Option(names = "--examples", paramLabel = "N", description = "lorahub: so many of the first (default: 5).")
    int examples = 5;

    @Option(names = "--evaluations", paramLabel = "N", description = "lorahub: weights that are tried (default: 40).")
    int evaluations = 40;

    @Option(names = "--seed", paramLabel = "N", description = "lorahub: of the search (default: 0).")
    long seed;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Where the result goes.")
    Path folder;

    @Option(names = "--overwrite", description = "Replace the adapter, run or model in --out.")
    boolean overwrite;

    @Override
    protected int execute() throws IOException {
        positive("--rank", rank);
        if (rank != null && how != How.SVD) {
            throw usage("--rank is for --how svd");
        }
        if (how == How.LORAHUB) {
            checkSearch();
        } else if (weights == null) {
            weights = new double[adapters.size()];
            Arrays.fill(weights, 1);
        }
        if (weights != null && weights.length != adapters.size()) {
            throw usage("--weights has " + weights.length + " numbers for " + adapters.size() + " adapters");
        }
        for (Path adapter : adapters) {
            existingFolder("--adapter", adapter);
        }
        OutputTarget target = new OutputTarget("--out", folder);
        target.checkFolder(overwrite, false, sources());
        target.makeParent();
        try (Context context = openContext()) {
            AtomicFiles.replaceDirectory(folder, fresh -> write(context, fresh));
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

    private Path[] sources() {
        return Stream.concat(adapters.stream(), Stream.of(model, data))
                .filter(Objects::nonNull)
                .toArray(Path[]::new);
    }

    private void write(Context context, Path fresh) {
        switch (how) {
            case LINEAR, CAT, SVD ->
                LoraSum.write(
                        context, adapters, weights, LoraSum.How.valueOf(how.name()), rank == null ? 0 : rank, fresh);
            case LORAHUB -> search(context, fresh);
            case AVERAGE, MERA -> AdapterAverage.write(context, adapters, weights, how == How.MERA, fresh);
        }
    }

    private void checkSearch() {
        positive("--examples", examples);
        positive("--evaluations", evaluations);
        if (weights != null) {
            throw usage("--how lorahub finds the weights itself, without --weights");
        }
        if (model == null || data == null) {
            throw usage("--how lorahub needs --model and --data");
        }
        if (length < 2) {
            throw usage("--length must be at least 2, got " + length);
        }
        existingFolder("--model", model);
        existing("--data", data);
    }

    private void search(Context context, Path fresh) {
        LoraHub hub = new LoraHub(context, adapters);
        try (Tokenizer tokenizer = Tokenizer.load(model);
                OpenModel opened = OpenModel.open(
                        context,
                        model,
                        DType.F32,
                        Llama.Options.training(hub.adapter()).withBase(quantize.kind()));
                Progress progress = new Progress(out(), "lorahub", evaluations)) {
            Llama llama = opened.llama();
            List<Example> all = TextExamples.of(TextDataset.read(tokenizer, ChatTemplate.find(model), length, data));
            List<Batch> few = TextExamples.batches(all.subList(0, Math.min(examples, all.size())), 1, examples);
            int[] tried = {0};
            weights = WeightSearch.run(hub.size(), evaluations, seed, tries -> {
                hub.set(tries);
                llama.parametersChanged();
                double loss = Trainer.evaluate(llama, few);
                progress.update(++tried[0], loss, 0, context.memory());
                out().event("evaluation", "number", tried[0], "weights", tries, "loss", loss);
                return loss;
            });
            hub.set(weights);
            hub.adapter().save(fresh);
        }
    }
}
